// Where the tensors of a CPU lie. malloc gives a great block back to the system when it is freed, and asks for it again in
// the next step: each page is then faulted in and zeroed anew. Here blocks are kept, and used again.

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <vector>


namespace supernaut {
namespace {

/// Smaller blocks are left to malloc, which keeps them itself.
constexpr size_t SMALLEST = 1 << 16;

/// What stands in front of a tensor's numbers, which begin at a cache line.
struct alignas(64) Block {
    /// Bytes of its pages, itself included; of a small one those behind it.
    size_t size;
    /// How many of them were asked for, in whole pages, too.
    size_t asked;

    void* numbers() { return this + 1; }
    static Block* of(void* numbers) { return static_cast<Block*>(numbers) - 1; }
};

/// What may be taken from the system if so much was in use at once: a quarter more, so that sizes may differ from step to
/// step. `in_pool` in mod.rs counts with it.
size_t with_slack(size_t most) { return most + most / 4; }

/// Any thread may call it.
class Pool final : public c10::Allocator {
public:
    static Pool& only() {
        static Pool* const pool = new Pool;  // never freed: tensors may outlive everything
        return *pool;
    }

    c10::DataPtr allocate(size_t size) override {
        void* const numbers = size == 0 ? nullptr : (size < SMALLEST ? small(size) : pooled(size))->numbers();
        return {numbers, numbers, &free, c10::Device(c10::kCPU)};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &free; }

    void copy_data(void* to, const void* from, size_t size) const override { default_copy_data(to, from, size); }

    /// Gives the blocks that nobody uses back to the system, and forgets how much was in use before. From here on what is in use
    /// counts with what it wastes.
    void clear() {
        const std::lock_guard lock(mutex_);
        shrink(0);
        most_ = used_ + wasted_;
    }

    size_t taken() {
        const std::lock_guard lock(mutex_);
        return taken_;
    }

private:
    /// A block that nobody uses. What is looked through often lies side by side.
    struct Waiting {
        size_t size;
        Block* block;
    };

    static Block* small(size_t size) { return new (c10::alloc_cpu(sizeof(Block) + size)) Block{size, size}; }

    /// Pages of its own, or null. malloc would put some blocks into its heap, which keeps what was freed between two that are in
    /// use.
    static Block* fresh(size_t size) {
        void* const pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return pages == MAP_FAILED ? nullptr : new (pages) Block{size, size};
    }

    static void free(void* numbers) {
        if (numbers == nullptr) return;
        Block* const block = Block::of(numbers);
        if (block->size < SMALLEST) {
            c10::free_cpu(block);
        } else {
            only().keep(block);
        }
    }

    Block* pooled(size_t bytes) {
        static const size_t page = sysconf(_SC_PAGESIZE);
        const size_t size = (sizeof(Block) + bytes + page - 1) / page * page;
        const std::lock_guard lock(mutex_);
        Block* block = waiting(size);
        if (block == nullptr) {
            const size_t most = with_slack(std::max(most_, used_ + size));
            shrink(most - size);
            block = fresh(size);
            if (block == nullptr) {
                shrink(0);
                block = fresh(size);
            }
            TORCH_CHECK(block != nullptr, "not enough memory: the system has no ", bytes, " bytes for a tensor");
            taken_ += size;
            waiting_.reserve(++blocks_);  // so that nothing is allocated when a block is freed
        }
        block->asked = size;
        used_ += size;
        wasted_ += block->size - size;
        most_ = std::max(most_, used_);
        return block;
    }

    /// The smallest block that waits and is large enough, unless that wastes too much. Of several the one freed last, which
    /// is likeliest to be in a cache.
    Block* waiting(size_t size) {
        auto best = waiting_.end();
        for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
            const bool is_better = best == waiting_.end() || at->size <= best->size;
            if (size <= at->size && is_better) best = at;
        }
        if (best == waiting_.end() || most_ + wasted_ + (best->size - size) > with_slack(most_)) return nullptr;
        Block* const block = best->block;
        waiting_.erase(best);
        return block;
    }

    void keep(Block* block) {
        const std::lock_guard lock(mutex_);
        used_ -= block->asked;
        wasted_ -= block->size - block->asked;
        waiting_.push_back({block->size, block});
    }

    /// Gives blocks back, those first that have waited longest, until at most `bytes` are taken from the system or none waits.
    void shrink(size_t bytes) {
        auto at = waiting_.begin();
        for (; at != waiting_.end() && taken_ > bytes; ++at) {
            if (munmap(at->block, at->size) != 0) break;
            taken_ -= at->size;
            --blocks_;
        }
        waiting_.erase(waiting_.begin(), at);
    }

    std::mutex mutex_;
    /// In the order in which they were freed.
    std::vector<Waiting> waiting_;
    /// Those that wait and those that are in use.
    size_t blocks_ = 0;
    /// Bytes from the system; of blocks in use those that were asked for, and those that were not.
    size_t taken_ = 0, used_ = 0, wasted_ = 0;
    /// The most that was in use at once.
    size_t most_ = 0;
};

}  // namespace

extern "C" {

/// From now on libtorch's tensors on the CPU lie in the pool.
void supernaut_pool_install() { c10::SetCPUAllocator(&Pool::only()); }

void supernaut_pool_clear() { Pool::only().clear(); }

/// Bytes that the pool has from the system.
size_t supernaut_pool_taken() { return Pool::only().taken(); }

}  // extern "C"
}  // namespace supernaut
