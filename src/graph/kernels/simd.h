// Vectors and the number types that are stored in them.
//
// The vector extensions of GCC need no intrinsics: the same lines become AVX2, AVX-512 or NEON, by the flags that a file is
// compiled with. It is compiled once per level of instructions, each in a namespace of its own: see level.h. Nothing here
// comes from the standard library, whose inline functions must not be compiled with these flags: the linker might pick them
// for the whole program.

#pragma once

#include <cstdint>
#include <cstring>
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

/// The level of instructions that a file is compiled for.
#ifndef SUPERNAUT_LEVEL
#define SUPERNAUT_LEVEL base
#endif
/// Bytes of a vector: 32 or 64.
#ifndef SUPERNAUT_VECTOR
#define SUPERNAUT_VECTOR 32
#endif

namespace supernaut {

using Index = std::int64_t;

/// The upper half of a float: 8 bits of exponent, 8 of precision.
struct BFloat16 {
    std::uint16_t bits;
};

namespace SUPERNAUT_LEVEL {

/// `lanes` numbers of type T, which is float or double.
template <class T>
struct Simd {
    typedef T Vector __attribute__((vector_size(SUPERNAUT_VECTOR)));
    typedef std::uint16_t Half __attribute__((vector_size(SUPERNAUT_VECTOR / 2)));
    typedef std::uint32_t Word __attribute__((vector_size(SUPERNAUT_VECTOR)));
    static constexpr Index lanes = SUPERNAUT_VECTOR / sizeof(T);

    static Vector load(const T* from) {
        Vector value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }

    static void store(T* to, Vector value) { std::memcpy(to, &value, sizeof value); }

    static Vector load(const BFloat16* from) {
        Half half;
        std::memcpy(&half, from, sizeof half);
        return Vector(__builtin_convertvector(half, Word) << 16);
    }

    /// Rounds to the nearest, ties to even.
    static void store(BFloat16* to, Vector value) {
        static_assert(sizeof(T) == sizeof(float));
#if defined(__AVX512BF16__) && SUPERNAUT_VECTOR == 64
        const __m256bh half = _mm512_cvtneps_pbh(__m512(value));
#elif defined(__AVX512BF16__)
        const __m128bh half = _mm256_cvtneps_pbh(__m256(value));
#else
        Word word = Word(value);
        word += 0x7fff + ((word >> 16) & 1);
        const Half half = __builtin_convertvector(word >> 16, Half);
#endif
        std::memcpy(to, &half, sizeof half);
    }

    // Less zero, not plus: −0 + 0 is 0, so that a compiler would have to add.
    static Vector all(T value) { return value - Vector{}; }
};

}  // namespace SUPERNAUT_LEVEL

}  // namespace supernaut
