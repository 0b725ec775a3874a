// The kernels as functions of libtorch with gradients, and the C interface that mod.rs calls.
//
// Like pool.cpp and cuda.cpp, and no kernel, it knows libtorch. It is compiled without the flags of the kernels: see simd.h.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <omp.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "caught.h"
#include "level.h"

namespace supernaut {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

constexpr auto layout = at::MemoryFormat::ChannelsLast;

/// The levels that this CPU has, fastest first.
std::vector<std::pair<std::string_view, const Level*>> levels_by_name() {
    std::vector<std::pair<std::string_view, const Level*>> levels;
#ifdef SUPERNAUT_HAS_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bf16"))
        levels = {{"wide", &wide::level()}, {"avx512", &avx512::level()}};
#endif
    levels.emplace_back("base", &base::level());
    return levels;
}

/// The same from the one on that SUPERNAUT_LEVEL names, which mod.rs has checked.
const std::vector<const Level*>& levels() {
    static const std::vector<const Level*> chosen = [] {
        const char* asked = std::getenv("SUPERNAUT_LEVEL");
        std::vector<const Level*> chosen;
        for (const auto& [name, level] : levels_by_name())
            if (!asked || !chosen.empty() || name == asked) chosen.push_back(level);
        TORCH_CHECK(!chosen.empty(), "kernels: found no level \"", asked, "\" on this CPU");
        return chosen;
    }();
    return chosen;
}

/// The fastest kernels for numbers of channels that are multiples of `channels`, which is one of 8.
template <class S, class T>
const ImageKernels<S, T>& kernels(Index channels) {
    for (const Level* level : levels())
        if (channels % level->of(S(), T()).lanes == 0) return level->of(S(), T());
    TORCH_CHECK(false, "kernels: found ", channels, " channels, wanted a multiple of 8");
}

/// Calls `call(S(), T())` with the types that `tensor` is stored and computed in.
template <class Call>
void with_type_of(const Tensor& tensor, Call call) {
    switch (tensor.scalar_type()) {
        case at::kFloat: return call(float(), float());
        case at::kDouble: return call(double(), double());
        case at::kBFloat16: return call(BFloat16(), float());
        default: TORCH_CHECK(false, "kernels: found numbers of type ", tensor.scalar_type(), ", wanted float, double or bfloat16");
    }
}

at::ScalarType computed(const Tensor& tensor) { return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

template <class S>
S* data(const Tensor& tensor) {
    return static_cast<S*>(tensor.data_ptr());
}

float number(float value) { return value; }
double number(double value) { return value; }
float number(BFloat16 value) {
    const std::uint32_t bits = std::uint32_t(value.bits) << 16;
    float wide;
    std::memcpy(&wide, &bits, sizeof wide);
    return wide;
}

Tensor images_like(const Tensor& x, Index channels) {
    return at::empty({x.size(0), channels, x.size(2), x.size(3)}, x.options().memory_format(layout));
}

/// How many workers share work that needs scratch of its own for each.
Index workers() { return at::get_num_threads(); }

/// Splits 0…count evenly among so many workers; `work` gets its range and the number of its worker. The split depends on
/// nothing else, whichever threads there are.
template <class Work>
void spread(Index count, Index many, Work work) {
    at::parallel_for(0, many, 1, [&](Index begin, Index end) {
        for (Index worker = begin; worker < end; ++worker) work(count * worker / many, count * (worker + 1) / many, worker);
    });
}

/// How finely work is cut: at most and at least so much in a piece.
struct Grain {
    Index most, least;
};

/// What one worker takes first: pieces that start at `cuts`, of which the last is the end.
struct alignas(128) Pile {
    std::atomic<Index> next{0};
    std::vector<Index> cuts;

    /// Cuts `begin…end`: a quarter of what is left each time, within the bounds and in multiples of the least, so that at the end
    /// nobody waits long for anybody.
    void cut(Index begin, Index end, Grain grain) {
        for (Index at = begin; at < end;) {
            cuts.push_back(at);
            const Index quarter = (end - at) / 4 / grain.least * grain.least;
            at = std::min(end, at + std::clamp(quarter, grain.least, grain.most));
        }
        cuts.push_back(end);
    }
};

/// Shares 0…count out in pieces, for work whose result depends neither on who does it nor on the cuts. A worker that is done
/// with its own pieces takes those of others, so that a core that something else slows down doesn't hold them up; but first
/// come its own, which it finds in its cache if it wrote them.
template <class Work>
void share_out(Index count, Grain grain, Work work) {
    const Index units = (count + grain.least - 1) / grain.least, many = std::min(workers(), units);
    std::vector<Pile> piles(many);
    for (Index worker = 0; worker < many; ++worker)
        piles[worker].cut(units * worker / many * grain.least, std::min(units * (worker + 1) / many * grain.least, count), grain);
    spread(many, many, [&](Index, Index, Index worker) {
        for (Index other = 0; other < many; ++other) {
            Pile& pile = piles[(worker + other) % many];
            const Index pieces = Index(pile.cuts.size()) - 1;
            for (Index piece = pile.next.fetch_add(1); piece < pieces; piece = pile.next.fetch_add(1))
                work(pile.cuts[piece], pile.cuts[piece + 1], worker);
        }
    });
}

/// Scratch of its own for each worker.
struct Scratch {
    Tensor memory;
    Index each;

    Scratch(Index each, at::ScalarType type) : memory(at::empty({workers(), each}, type)), each(each) {}

    template <class T>
    T* of(Index worker) const {
        return data<T>(memory) + worker * each;
    }
};

/// Refuses what the kernels, which get bare pointers, could not handle.
void check_images(const Tensor& images, const Tensor& like) {
    TORCH_CHECK(images.device().is_cpu(), "kernels: found images on ", images.device(), ", wanted them on the CPU");
    TORCH_CHECK(images.dim() == 4 && images.size(0) > 0 && images.size(1) % 8 == 0, "kernels: found images of sizes ",
                images.sizes(), ", wanted [batch, channels, height, width] with a multiple of 8 channels, one image at least");
    TORCH_CHECK(images.scalar_type() == like.scalar_type() && images.size(0) == like.size(0) &&
                    images.size(2) == like.size(2) && images.size(3) == like.size(3),
                "kernels: found ", images.scalar_type(), images.sizes(), " beside ", like.scalar_type(), like.sizes());
}

void check_weight(const Tensor& weight, const Tensor& x, Index kernel) {
    TORCH_CHECK(weight.device().is_cpu() && weight.scalar_type() == computed(x) && weight.dim() == 4 &&
                    weight.size(0) % 8 == 0 && weight.size(1) == x.size(1) && weight.size(2) == kernel &&
                    weight.size(3) == kernel && (kernel == 1 || kernel == 3),
                "kernels: found weights ", weight.scalar_type(), weight.sizes(), " for images ", x.scalar_type(), x.sizes());
}

// ---- Convolutions ----------------------------------------------------------------------------------------------------

ConvShape shape_of(const Tensor& x, const variable_list& weights) {
    Index out = 0;
    for (const Tensor& weight : weights) out += weight.size(0);
    return {x.size(0), x.size(2), x.size(3), x.size(1), out, weights[0].size(2)};
}

/// What all numbers of channels are multiples of.
Index common_channels(const ConvShape& shape, const variable_list& weights) {
    Index common = std::gcd(shape.in, shape.out);
    for (const Tensor& weight : weights) common = std::gcd(common, weight.size(0));
    return common;
}

template <class S>
std::vector<Part<S>> parts(const std::vector<Tensor>& tensors) {
    std::vector<Part<S>> parts;
    for (const Tensor& tensor : tensors) parts.push_back({data<std::remove_const_t<S>>(tensor), tensor.size(1)});
    return parts;
}

/// Splits channels among the workers, in multiples of `lanes`.
template <class Work>
void spread_channels(Index channels, Index lanes, Work work) {
    const Index pieces = channels / lanes;
    spread(pieces, std::min(pieces, workers()), [&](Index begin, Index end, Index) { work(begin * lanes, end * lanes); });
}

/// The expanded weights of several convolutions as those of one.
template <class S, class T>
Tensor expanded(const ImageKernels<S, T>& kernels, const ConvShape& shape, const variable_list& weights, bool adjoint) {
    const Tensor all = at::empty({shape.expanded()}, weights[0].options());
    Index column = 0;
    for (const Tensor& weight : weights) {
        const Index channels = weight.size(0), each = weight.numel() / channels;
        spread_channels(channels, kernels.lanes, [&](Index begin, Index end) {
            kernels.expand(shape, data<T>(weight) + begin * each, end - begin, adjoint, column + begin, data<T>(all));
        });
        column += channels;
    }
    return all;
}

void convolve_all(const ConvShape& shape, const variable_list& x, const variable_list& weights, bool adjoint,
                  const variable_list& y) {
    with_type_of(x[0], [&](auto stored, auto type) {
        using S = decltype(stored);
        using T = decltype(type);
        const auto& fastest = kernels<S, T>(common_channels(shape, weights));
        const Tensor spectrum = expanded(fastest, shape, weights, adjoint);
        const Scratch scratch(shape.scratch(), spectrum.scalar_type());
        const auto from = parts<const S>(x);
        const auto to = parts<S>(y);
        share_out(shape.tiles(), {shape.tiles_at_once(), shape.least_tiles()}, [&](Index begin, Index end, Index worker) {
            fastest.convolve(shape, from.data(), data<T>(spectrum), to.data(), begin, end, scratch.of<T>(worker));
        });
    });
}

/// Gradients of the weights.
variable_list correlate_all(const ConvShape& shape, const Tensor& x, const variable_list& weights, const variable_list& dy) {
    variable_list gradients;
    for (const Tensor& weight : weights) gradients.push_back(at::empty_like(weight, at::MemoryFormat::Contiguous));
    with_type_of(x, [&](auto stored, auto type) {
        using S = decltype(stored);
        using T = decltype(type);
        const auto& fastest = kernels<S, T>(common_channels(shape, weights));
        // Each worker adds up a gradient of its own; where these are large, there are fewer. run/memory.rs counts with that bound.
        const Index fitting = std::clamp<Index>((256 << 20) / (shape.expanded() * sizeof(T)), 1, workers());
        const Index many = std::min(fitting, shape.tiles());
        const Tensor spectra = at::empty({many, shape.expanded()}, weights[0].options());
        const Scratch scratch(shape.scratch(), spectra.scalar_type());
        const auto from = parts<const S>({x});
        const auto by = parts<const S>(dy);
        spread(shape.tiles(), many, [&](Index begin, Index end, Index worker) {
            fastest.correlate(shape, from.data(), by.data(), data<T>(spectra) + worker * shape.expanded(), begin, end,
                              scratch.of<T>(worker));
        });
        Index column = 0;
        for (const Tensor& gradient : gradients) {
            const Index channels = gradient.size(0), each = gradient.numel() / channels;
            spread_channels(channels, fastest.lanes, [&](Index begin, Index end) {
                fastest.collapse(shape, data<T>(spectra), many, column + begin, end - begin, data<T>(gradient) + begin * each);
            });
            column += channels;
        }
    });
    return gradients;
}

/// Convolutions of one input with several weights.
struct Convolutions : Function<Convolutions> {
    /// `tensors`: the input, then the weights.
    static variable_list forward(AutogradContext* context, at::TensorList tensors) {
        check_images(tensors[0], tensors[0]);
        for (const Tensor& weight : tensors.slice(1)) check_weight(weight, tensors[0], tensors[1].size(-1));
        context->set_materialize_grads(false);
        const Tensor x = tensors[0].contiguous(layout);
        variable_list weights, results;
        for (const Tensor& weight : tensors.slice(1)) {
            weights.push_back(weight.contiguous());
            results.push_back(images_like(x, weight.size(0)));
        }
        convolve_all(shape_of(x, weights), {x}, weights, false, results);
        variable_list saved = weights;
        saved.push_back(x);
        context->save_for_backward(saved);
        return results;
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        variable_list weights = context->get_saved_variables(), dy;
        const Tensor x = weights.back();
        weights.pop_back();
        for (size_t at = 0; at < gradients.size(); ++at)
            dy.push_back(gradients[at].defined() ? gradients[at].contiguous(layout)
                                                 : images_like(x, weights[at].size(0)).zero_());
        const ConvShape shape = shape_of(x, weights);
        variable_list results = correlate_all(shape, x, weights, dy);
        Tensor dx;
        if (context->needs_input_grad(0)) {
            dx = images_like(x, shape.in);
            const ConvShape adjoint{shape.batch, shape.height, shape.width, shape.out, shape.in, shape.kernel};
            convolve_all(adjoint, dy, weights, true, {dx});
        }
        results.insert(results.begin(), dx);
        return results;
    }
};

/// Images that a thread takes at a time, at most and at least.
constexpr Grain images_at_once{4, 1};

// ---- Joins -----------------------------------------------------------------------------------------------------------

}  // namespace

/// One summand, as mod.rs lays it out.
struct JoinTerm {
    const Tensor* tensor;
    Form form;
    bool is_normed;
    /// Own scale and shift, or null.
    const Tensor *scale, *shift;
    /// Running statistics, or null where those of the batch are used and none are kept.
    const Tensor *mean, *variance;
};

/// What else a join depends on.
struct JoinSettings {
    const JoinTerm* terms;
    Index count;
    const Form* readers;
    Index reader_count;
    /// Statistics of the batch; else the running ones.
    bool from_batch;
    /// Share of the new batch in the running statistics; 0 leaves them.
    double momentum;
    double epsilon;
};

namespace {

/// A normalised term between forward and backward. All by channel.
struct Norm {
    Index term;
    std::vector<double> mean, deviation_inverse, scale;
    bool is_affine;
};

/// What backward needs beside tensors.
struct Joined : torch::CustomClassHolder {
    JoinShape shape;
    std::vector<Norm> norms;
    std::vector<Form> readers;
    Index terms;
    bool from_batch;
    bool is_active;
    /// Where what is read as active ends: see join.h.
    double most;
};

std::vector<double> numbers(const Tensor* tensor, Index channels, double otherwise) {
    if (!tensor) return std::vector<double>(channels, otherwise);
    const Tensor copy = tensor->detach().to(at::kDouble).contiguous();
    return {data<double>(copy), data<double>(copy) + channels};
}

template <class T>
std::vector<T> as(const std::vector<double>& values) {
    return {values.begin(), values.end()};
}

/// Sums over the images of what the kernels left per image.
std::vector<double> over_images(const std::vector<double>& values, Index channels) {
    std::vector<double> sums(channels);
    for (size_t image = 0; image < values.size(); image += channels)
        for (Index channel = 0; channel < channels; ++channel) sums[channel] += values[image + channel];
    return sums;
}

void keep_running(const JoinTerm& term, double momentum, double count, const std::vector<double>& mean,
                  const std::vector<double>& variance) {
    const auto move = [&](const Tensor* running, const std::vector<double>& values, double factor) {
        const Tensor batch = at::tensor(at::ArrayRef<double>(values), at::kDouble).to(running->scalar_type());
        Tensor(*running).mul_(1 - momentum).add_(batch, momentum * factor);
    };
    move(term.mean, mean, 1);
    move(term.variance, variance, count / (count - 1));  // running variances are unbiased
}

/// Mean and deviation of a term, from the batch or as they ran.
Norm norm_of(const JoinSettings& settings, Index at, const JoinShape& shape, const Tensor& x) {
    const JoinTerm& term = settings.terms[at];
    const Index channels = shape.channels;
    std::vector<double> mean, variance;
    if (settings.from_batch) {
        std::vector<double> sums(shape.batch * channels), squares(shape.batch * channels), pivot(channels);
        with_type_of(x, [&](auto stored, auto type) {
            using S = decltype(stored);
            using T = decltype(type);
            // The first pixel is nearer to the mean than 0 is wherever that matters.
            std::vector<T> first(channels);
            for (Index channel = 0; channel < channels; ++channel) first[channel] = number(data<S>(x)[channel]);
            pivot.assign(first.begin(), first.end());
            share_out(shape.batch, images_at_once, [&](Index begin, Index end, Index) {
                kernels<S, T>(channels).moments(shape, data<S>(x), first.data(), begin, end, sums.data(), squares.data());
            });
        });
        const double count = double(shape.batch * shape.height * shape.width);
        mean = over_images(sums, channels);
        variance = over_images(squares, channels);
        for (Index channel = 0; channel < channels; ++channel) {
            mean[channel] /= count;
            variance[channel] = std::max(variance[channel] / count - mean[channel] * mean[channel], 0.0);
            mean[channel] += pivot[channel];
            if (std::isnan(mean[channel])) variance[channel] = mean[channel];
        }
        if (settings.momentum > 0 && term.mean && count > 1) keep_running(term, settings.momentum, count, mean, variance);
    } else {
        TORCH_CHECK(term.mean && term.variance, "kernels: found no running statistics, wanted them for fixed ones");
        mean = numbers(term.mean, channels, 0);
        variance = numbers(term.variance, channels, 1);
    }
    for (double& value : variance) value = 1 / std::sqrt(value + settings.epsilon);
    return {at, mean, variance, numbers(term.scale, channels, 1), term.scale != nullptr};
}

/// The same memory as another tensor: each reader of a value has one, so that each gradient arrives by itself.
Tensor shared(const Tensor& tensor) {
    return at::empty({0}, tensor.options()).set_(tensor.storage(), tensor.storage_offset(), tensor.sizes(), tensor.strides());
}

/// A sum of terms; one result per reader. A reader that pools gets the value itself and hands back the gradient of what it
/// pooled, so that pooling is part of this pass and of the reader's.
struct Join : Function<Join> {
    /// `tensors`: the terms, then scale and shift of those that have them.
    static variable_list forward(AutogradContext* context, at::TensorList tensors, const JoinSettings* settings) {
        context->set_materialize_grads(false);
        variable_list terms;
        for (Index at = 0; at < settings->count; ++at) {
            check_images(tensors[at], tensors[0]);
            TORCH_CHECK(tensors[at].size(1) == tensors[0].size(1), "kernels: found a sum of ", tensors[at].sizes(), " and ",
                        tensors[0].sizes());
            terms.push_back(tensors[at].contiguous(layout));
        }
        const Tensor& first = terms[0];
        auto joined = c10::make_intrusive<Joined>();
        joined->shape = {first.size(0), first.size(2), first.size(3), first.size(1)};
        joined->readers.assign(settings->readers, settings->readers + settings->reader_count);
        joined->terms = settings->count;
        joined->from_batch = settings->from_batch;
        for (Index at = 0; at < settings->count; ++at)
            if (settings->terms[at].is_normed) joined->norms.push_back(norm_of(*settings, at, joined->shape, terms[at]));

        Tensor sum, active;
        const auto has = [&](Form form) { return std::count(joined->readers.begin(), joined->readers.end(), form) > 0; };
        TORCH_CHECK(!has(Form::positive) || !has(Form::clipped), "kernels: found readers of a ReLU and of a ReLU6 of one sum");
        joined->most = has(Form::clipped) ? 6 : std::nan("");
        for (const Form reader : joined->readers) {
            Tensor& wanted = is_active(reader) ? active : sum;
            if (!wanted.defined()) wanted = at::empty_like(first, layout);
        }
        run(*joined, *settings, terms, sum, active);

        variable_list saved, results;
        for (const Norm& norm : joined->norms) saved.push_back(terms[norm.term]);
        if (active.defined()) saved.push_back(shared(active));
        joined->is_active = active.defined();
        context->save_for_backward(saved);
        context->saved_data["joined"] = c10::IValue::make_capsule(joined);
        for (const Form reader : joined->readers) results.push_back(shared(is_active(reader) ? active : sum));
        return results;
    }

    static void run(const Joined& joined, const JoinSettings& settings, const variable_list& tensors, const Tensor& sum,
                    const Tensor& active) {
        with_type_of(tensors[0], [&](auto stored, auto type) {
            using S = decltype(stored);
            using T = decltype(type);
            std::vector<Term<S, T>> terms;
            for (Index at = 0; at < settings.count; ++at)
                terms.push_back({data<S>(tensors[at]), nullptr, nullptr, settings.terms[at].form});
            std::vector<std::vector<T>> slopes, shifts;
            for (const Norm& norm : joined.norms) {
                const std::vector<double> own = numbers(settings.terms[norm.term].shift, joined.shape.channels, 0);
                slopes.emplace_back(joined.shape.channels);
                shifts.emplace_back(joined.shape.channels);
                for (Index channel = 0; channel < joined.shape.channels; ++channel) {
                    const double slope = norm.scale[channel] * norm.deviation_inverse[channel];
                    slopes.back()[channel] = T(slope);
                    shifts.back()[channel] = T(own[channel] - slope * norm.mean[channel]);
                }
                terms[norm.term].scale = slopes.back().data();
                terms[norm.term].shift = shifts.back().data();
            }
            const Scratch scratch(joined.shape.scratch(), computed(tensors[0]));
            share_out(joined.shape.batch, images_at_once, [&](Index begin, Index end, Index worker) {
                kernels<S, T>(joined.shape.channels).join(
                    joined.shape, terms.data(), settings.count, sum.defined() ? data<S>(sum) : nullptr,
                    active.defined() ? data<S>(active) : nullptr, T(joined.most), begin, end, scratch.of<T>(worker));
            });
        });
    }

    static variable_list backward(AutogradContext* context, const variable_list& gradients) {
        const auto capsule = context->saved_data["joined"].toCapsule();
        const Joined& joined = static_cast<const Joined&>(*capsule);
        const variable_list saved = context->get_saved_variables();
        variable_list results(context_inputs(joined));
        variable_list defined;
        std::vector<Form> forms;
        for (size_t at = 0; at < gradients.size(); ++at) {
            if (!gradients[at].defined()) continue;
            defined.push_back(gradients[at].contiguous(layout));
            forms.push_back(joined.readers[at]);
        }
        if (defined.empty()) return results;

        with_type_of(defined[0], [&](auto stored, auto type) {
            backward_as<decltype(stored), decltype(type)>(joined, saved, defined, forms, results);
        });
        return results;
    }

    /// Terms, scales and shifts, settings.
    static size_t context_inputs(const Joined& joined) {
        size_t affine = 0;
        for (const Norm& norm : joined.norms) affine += norm.is_affine ? 2 : 0;
        return joined.terms + affine + 1;
    }

    template <class S, class T>
    static void backward_as(const Joined& joined, const variable_list& saved, const variable_list& gradients,
                            const std::vector<Form>& forms, variable_list& results) {
        const JoinShape& shape = joined.shape;
        const Index channels = shape.channels;
        std::vector<Reader<S>> readers;
        for (size_t at = 0; at < gradients.size(); ++at) readers.push_back({data<S>(gradients[at]), forms[at]});
        // A single plain gradient is the sum's own already.
        const bool is_own = joined.norms.empty() && readers.size() == 1 && forms[0] == Form::plain;
        const Tensor gradient = is_own ? gradients[0] : at::empty_like(gradients[0], layout);
        const S* active = joined.is_active ? data<S>(saved.back()) : nullptr;

        std::vector<double> sums(shape.batch * channels);
        std::vector<std::vector<double>> products(joined.norms.size(), std::vector<double>(shape.batch * channels));
        std::vector<std::vector<T>> means;
        for (const Norm& norm : joined.norms) means.push_back(as<T>(norm.mean));
        std::vector<Normed<S, T>> normed;
        for (size_t at = 0; at < joined.norms.size(); ++at)
            normed.push_back({data<S>(saved[at]), means[at].data(), products[at].data()});
        if (!is_own) {
            const Scratch scratch(shape.scratch(), computed(gradient));
            share_out(shape.batch, images_at_once, [&](Index begin, Index end, Index worker) {
                kernels<S, T>(channels).join_gradient(shape, readers.data(), Index(readers.size()), active, T(joined.most), data<S>(gradient),
                                                      sums.data(), normed.data(), Index(normed.size()), begin, end,
                                                      scratch.of<T>(worker));
            });
        }
        for (Index at = 0; at < joined.terms; ++at) results[at] = gradient;
        const std::vector<double> sum = over_images(sums, channels);
        size_t affine = joined.terms;
        for (size_t at = 0; at < joined.norms.size(); ++at) {
            const Norm& norm = joined.norms[at];
            const std::vector<double> product = over_images(products[at], channels);
            results[norm.term] = norm_backward<S, T>(joined, norm, gradient, saved[at], sum, product);
            if (!norm.is_affine) continue;
            std::vector<double> scale(channels);
            for (Index channel = 0; channel < channels; ++channel) scale[channel] = product[channel] * norm.deviation_inverse[channel];
            results[affine++] = at::tensor(at::ArrayRef<double>(scale), at::kDouble).to(computed(gradient));
            results[affine++] = at::tensor(at::ArrayRef<double>(sum), at::kDouble).to(computed(gradient));
        }
    }

    /// With r = 1/deviation, m = mean, N numbers by channel, D = Σ g(x − m):
    /// dx = scale·r·(g − Σg/N − (x − m)·r²·D/N), and scale·r·g where the statistics are fixed.
    template <class S, class T>
    static Tensor norm_backward(const Joined& joined, const Norm& norm, const Tensor& gradient, const Tensor& x,
                                const std::vector<double>& sum, const std::vector<double>& product) {
        const JoinShape& shape = joined.shape;
        const double count = double(shape.batch * shape.height * shape.width);
        std::vector<T> a(shape.channels), b(shape.channels), c(shape.channels);
        for (Index channel = 0; channel < shape.channels; ++channel) {
            const double inverse = norm.deviation_inverse[channel], slope = norm.scale[channel] * inverse;
            const double drift = joined.from_batch ? -slope * inverse * inverse * product[channel] / count : 0;
            a[channel] = T(slope);
            b[channel] = T(drift);
            c[channel] = joined.from_batch ? T(-slope * sum[channel] / count - drift * norm.mean[channel]) : 0;
        }
        const Tensor result = at::empty_like(gradient, layout);
        share_out(shape.batch, images_at_once, [&](Index begin, Index end, Index) {
            kernels<S, T>(shape.channels).norm_gradient(shape, data<S>(gradient), data<S>(x), a.data(), b.data(), c.data(),
                                                            data<S>(result), begin, end);
        });
        return result;
    }
};

void hand_out(const variable_list& results, Tensor** to) {
    for (size_t at = 0; at < results.size(); ++at) to[at] = new Tensor(results[at]);
}

}  // namespace

extern "C" {

/// Whether this CPU can run the kernels of the level with that name.
bool supernaut_has_level(const char* name) {
    const auto levels = levels_by_name();
    return std::any_of(levels.begin(), levels.end(), [=](const auto& level) { return level.first == name; });
}

char* supernaut_convolutions(const Tensor* x, const Tensor* const* weights, Index count, Tensor** results) {
    return caught([&] {
        variable_list tensors{*x};
        for (Index at = 0; at < count; ++at) tensors.push_back(*weights[at]);
        hand_out(Convolutions::apply(at::TensorList(tensors)), results);
    });
}

char* supernaut_join(const JoinSettings* settings, Tensor** results) {
    return caught([&] {
        variable_list tensors;
        for (Index at = 0; at < settings->count; ++at) tensors.push_back(*settings->terms[at].tensor);
        for (Index at = 0; at < settings->count; ++at)
            if (settings->terms[at].scale) {
                tensors.push_back(*settings->terms[at].scale);
                tensors.push_back(*settings->terms[at].shift);
            }
        hand_out(Join::apply(at::TensorList(tensors), settings), results);
    });
}

/// Calls `work(context, 0…count)`, each on a thread of its own as far as there are threads. What libtorch does within is done by
/// that thread alone.
char* supernaut_on_threads(Index count, void (*work)(const void*, Index), const void* context) {
    return caught([&] {
        at::parallel_for(0, count, 1, [&](Index begin, Index end) {
            // OpenMP doesn't split what lies within split work, but oneDNN would wait for as many threads as it is told.
            // A thread that libtorch hasn't met yet sets the number at its first call, in libtorch and in what is compiled here
            // each: so that is made before.
            at::get_num_threads();
            at::internal::lazy_init_num_threads();
            omp_set_num_threads(1);  // of this thread, until it has done its share
            for (Index at = begin; at < end; ++at) work(context, at);
        });
    });
}

/// On GPUs, for the whole process: the same bits from run to run, or whatever is fastest.
void supernaut_reproducible(bool yes) {
    at::Context& context = at::globalContext();
    context.setDeterministicCuDNN(yes);
    context.setBenchmarkCuDNN(!yes);
    context.setAllowTF32CuDNN(!yes);
    context.setAllowTF32CuBLAS(!yes);
}

/// Updates `weights` and `momentum` (flat, fp32) at the `count` slices `starts…ends`; gradients may be null, for zeros.
char* supernaut_sgd(const Tensor* weights, const Tensor* momentum, const Index* starts, const Index* ends,
                    const Tensor* const* gradients, Index count, const Update* constants, double clip, double* norm) {
    return caught([&] {
        std::vector<Tensor> held(count);
        std::vector<double> norms(count);
        for (Index at = 0; at < count; ++at)
            if (gradients[at]) held[at] = gradients[at]->contiguous();
        Update update_of = *constants;
        share_out(count, {1, 1}, [&](Index begin, Index end, Index) {
            for (Index at = begin; at < end; ++at)
                if (held[at].defined()) norms[at] = levels()[0]->squares(data<float>(held[at]), held[at].numel());
        });
        double sum = 0;
        for (const double norm : norms) sum += norm;
        *norm = std::sqrt(sum);
        if (!std::isfinite(sum)) return;
        if (clip > 0) update_of.scale = float(std::min(clip / (*norm + 1e-6), 1.0));
        // Pieces of one size, since slices differ a thousandfold.
        constexpr Index most = 8192;
        std::vector<std::pair<Index, Index>> pieces;  // slice, offset
        for (Index at = 0; at < count; ++at)
            for (Index offset = 0; offset < ends[at] - starts[at]; offset += most) pieces.emplace_back(at, offset);
        share_out(Index(pieces.size()), {4, 1}, [&](Index begin, Index end, Index) {
            for (Index piece = begin; piece < end; ++piece) {
                const auto [at, offset] = pieces[piece];
                const Index first = starts[at] + offset, length = std::min(most, ends[at] - first);
                const float* gradient = held[at].defined() ? data<float>(held[at]) + offset : nullptr;
                levels()[0]->update(update_of, data<float>(*weights) + first, data<float>(*momentum) + first, gradient, length);
            }
        });
    });
}

}  // extern "C"
}  // namespace supernaut
