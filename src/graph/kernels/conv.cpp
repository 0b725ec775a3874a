#include "conv.h"

namespace supernaut::SUPERNAUT_LEVEL {
namespace {

template <class T>
using Vec = typename Simd<T>::Vector;

// ---- Matrix products -------------------------------------------------------------------------------------------------

/// A block of R rows and N vectors of c = a·b, held in registers: a[r, k] lies at a[r * row + k * step].
template <class T, int R, int N>
void block(Index depth, const T* a, Index row, Index step, const T* b, Index b_row, T* c, Index c_row, bool add) {
    constexpr Index lanes = Simd<T>::lanes;
    Vec<T> sum[R][N];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) sum[r][n] = add ? Simd<T>::load(c + r * c_row + n * lanes) : Vec<T>{};
    for (Index k = 0; k < depth; ++k) {
        Vec<T> right[N];
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) right[n] = Simd<T>::load(b + k * b_row + n * lanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const Vec<T> left = Simd<T>::all(a[r * row + k * step]);
#pragma GCC unroll 8
            for (int n = 0; n < N; ++n) sum[r][n] += left * right[n];
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int n = 0; n < N; ++n) Simd<T>::store(c + r * c_row + n * lanes, sum[r][n]);
}

/// All rows of N vectors of columns.
template <class T, int N>
void columns(Index rows, Index depth, const T* a, Index row, Index step, const T* b, Index b_row, T* c, Index c_row, bool add) {
    for (; rows >= 6; rows -= 6, a += 6 * row, c += 6 * c_row) block<T, 6, N>(depth, a, row, step, b, b_row, c, c_row, add);
    switch (rows) {
        case 5: return block<T, 5, N>(depth, a, row, step, b, b_row, c, c_row, add);
        case 4: return block<T, 4, N>(depth, a, row, step, b, b_row, c, c_row, add);
        case 3: return block<T, 3, N>(depth, a, row, step, b, b_row, c, c_row, add);
        case 2: return block<T, 2, N>(depth, a, row, step, b, b_row, c, c_row, add);
        case 1: return block<T, 1, N>(depth, a, row, step, b, b_row, c, c_row, add);
    }
}

/// c [rows, width] = a·b, or c += a·b; `width` is a multiple of 8.
template <class T>
void multiply(Index rows, Index width, Index depth, const T* a, Index row, Index step, const T* b, Index b_row, T* c,
              Index c_row, bool add) {
    constexpr Index lanes = Simd<T>::lanes;
    Index at = 0;
    for (; at + 2 * lanes <= width; at += 2 * lanes) columns<T, 2>(rows, depth, a, row, step, b + at, b_row, c + at, c_row, add);
    if (at < width) columns<T, 1>(rows, depth, a, row, step, b + at, b_row, c + at, c_row, add);
}

// ---- Tiles -----------------------------------------------------------------------------------------------------------

/// The polynomial points of F(4×4, 3×3) are 0, ±1, ±2, ∞. Each function transforms along one axis; elements of the input
/// and of the output lie `stride` apart.
struct Winograd : Tile {
    /// Bᵀ: an input window into the products' domain.
    template <class V>
    static void input(const V* d, int stride, V* t, int to) {
        const V d0 = d[0], d1 = d[stride], d2 = d[2 * stride], d3 = d[3 * stride], d4 = d[4 * stride], d5 = d[5 * stride];
        const V even = d4 - 4 * d2, odd = d3 - 4 * d1, even1 = d4 - d2, odd1 = 2 * (d3 - d1);
        t[0] = 4 * d0 - 5 * d2 + d4;
        t[to] = even + odd;
        t[2 * to] = even - odd;
        t[3 * to] = even1 + odd1;
        t[4 * to] = even1 - odd1;
        t[5 * to] = 4 * d1 - 5 * d3 + d5;
    }

    /// Aᵀ: products into outputs.
    template <class V>
    static void output(const V* m, int stride, V* y, int to) {
        const V m1 = m[stride], m2 = m[2 * stride], m3 = m[3 * stride], m4 = m[4 * stride];
        const V sum1 = m1 + m2, sum2 = m3 + m4, difference1 = m1 - m2, difference2 = m3 - m4;
        y[0] = m[0] + sum1 + sum2;
        y[to] = difference1 + 2 * difference2;
        y[2 * to] = sum1 + 4 * sum2;
        y[3 * to] = difference1 + 8 * difference2 + m[5 * stride];
    }

    /// A: gradients of outputs into gradients of products.
    template <class V>
    static void gradient(const V* y, int stride, V* z, int to) {
        const V y0 = y[0], y1 = y[stride], y2 = y[2 * stride], y3 = y[3 * stride];
        const V even1 = y0 + y2, odd1 = y1 + y3, even2 = y0 + 4 * y2, odd2 = 2 * y1 + 8 * y3;
        z[0] = y0;
        z[to] = even1 + odd1;
        z[2 * to] = even1 - odd1;
        z[3 * to] = even2 + odd2;
        z[4 * to] = even2 - odd2;
        z[5 * to] = y3;
    }

    /// G: weights into the products' domain.
    template <class V>
    static void expand(const V* g, int stride, V* u, int to) {
        const V g0 = g[0], g1 = g[stride], g2 = g[2 * stride];
        const V outer = (g0 + g2) / 6, outer2 = (g0 + 4 * g2) / 24;
        u[0] = g0 / 4;
        u[to] = -outer - g1 / 6;
        u[2 * to] = -outer + g1 / 6;
        u[3 * to] = outer2 + g1 / 12;
        u[4 * to] = outer2 - g1 / 12;
        u[5 * to] = g2;
    }

    /// Gᵀ: gradients of expanded weights into gradients of weights.
    template <class V>
    static void collapse(const V* u, int stride, V* g, int to) {
        const V u1 = u[stride], u2 = u[2 * stride], u3 = u[3 * stride], u4 = u[4 * stride];
        g[0] = u[0] / 4 - (u1 + u2) / 6 + (u3 + u4) / 24;
        g[to] = (u2 - u1) / 6 + (u3 - u4) / 12;
        g[2 * to] = (u3 + u4 - u1 - u2) / 6 + u[5 * stride];
    }

    /// One of the above along both axes, of the values that `load(row, column)` gives, to `store(row, column, value)`.
    template <int from, int to, class V, class Axis, class Load, class Store>
    static void both(Axis axis, Load load, Store store) {
        V half[to * from];
#pragma GCC unroll 8
        for (int column = 0; column < from; ++column) {
            V values[from];
#pragma GCC unroll 8
            for (int row = 0; row < from; ++row) values[row] = load(row, column);
            axis(values, 1, half + column, from);
        }
#pragma GCC unroll 8
        for (int row = 0; row < to; ++row) {
            V values[to];
            axis(half + row * from, 1, values, 1);
#pragma GCC unroll 8
            for (int column = 0; column < to; ++column) store(row, column, values[column]);
        }
    }
};

/// A transform of `Winograd` along one axis, as a function object.
#define WINOGRAD_AXIS(name) [](const auto* from, int stride, auto* to, int step) { Winograd::name(from, stride, to, step); }

/// Where the tile with number `tile` lies.
struct Place {
    Index image, y, x;

    Place(const ConvShape& shape, Index tile) {
        constexpr Index side = Winograd::out;
        const Index across = (shape.width + side - 1) / side, down = (shape.height + side - 1) / side;
        image = tile / (across * down);
        y = tile / across % down * side;
        x = tile % across * side;
    }
};

/// A square of pixels, of which some may lie outside the image.
struct Window {
    Index image, y, x;  // of the first pixel
    int side;
    const ConvShape& shape;

    bool is_inside() const { return y >= 0 && x >= 0 && y + side <= shape.height && x + side <= shape.width; }
    bool is_inside(int row, int column) const {
        return y + row >= 0 && y + row < shape.height && x + column >= 0 && x + column < shape.width;
    }
    /// Position of a pixel's first channel, where there are `channels`.
    Index at(int row, int column, Index channels) const {
        return ((image * shape.height + y + row) * shape.width + x + column) * channels;
    }
};

/// The window of `side`² pixels with the number `tile`, `border` pixels further up and left.
Window window_of(const ConvShape& shape, Index tile, int side, int border) {
    const Place place(shape, tile);
    return {place.image, place.y - border, place.x - border, side, shape};
}

/// Reads windows of `side`×`side` pixels of all parts and writes their transforms to [positions, tile, channels].
template <int side, class S, class T, class Axis>
void read(const ConvShape& shape, const Part<const S>* parts, Index channels, Index begin, Index count, int border, T* to,
          Index position, Axis axis) {
    constexpr int positions_across = Winograd::in;
    for (Index first = 0; first < channels; first += parts->channels, ++parts) {
        for (Index tile = 0; tile < count; ++tile) {
            const Window window = window_of(shape, begin + tile, side, border);
            const bool is_inside = window.is_inside();
            const Index down = shape.width * parts->channels, across = parts->channels;
            const S* corner = parts->data + window.at(0, 0, parts->channels);
            T* target = to + tile * channels + first;
            for (Index channel = 0; channel < parts->channels; channel += Simd<T>::lanes) {
                const auto store = [=](int row, int column, Vec<T> value) {
                    Simd<T>::store(target + (row * positions_across + column) * position + channel, value);
                };
                if (is_inside) {
                    const S* from = corner + channel;
                    const auto load = [=](int row, int column) { return Simd<T>::load(from + row * down + column * across); };
                    Winograd::both<side, positions_across, Vec<T>>(axis, load, store);
                } else {
                    Vec<T> pixels[side * side];
                    for (int row = 0; row < side; ++row)
                        for (int column = 0; column < side; ++column)
                            pixels[row * side + column] =
                                window.is_inside(row, column)
                                    ? Simd<T>::load(corner + channel + row * down + column * across)
                                    : Vec<T>{};
                    const auto load = [&pixels](int row, int column) { return pixels[row * side + column]; };
                    Winograd::both<side, positions_across, Vec<T>>(axis, load, store);
                }
            }
        }
    }
}

template <class S, class T>
void read_inputs(const ConvShape& shape, const Part<const S>* x, Index begin, Index count, T* to, Index position) {
    read<Winograd::in>(shape, x, shape.in, begin, count, Winograd::border, to, position, WINOGRAD_AXIS(input));
}

template <class S, class T>
void read_gradients(const ConvShape& shape, const Part<const S>* dy, Index begin, Index count, T* to, Index position) {
    read<Winograd::out>(shape, dy, shape.out, begin, count, 0, to, position, WINOGRAD_AXIS(gradient));
}

/// Reads [positions, tile, channels], transforms and writes to the pixels of all parts.
template <class S, class T>
void write_outputs(const ConvShape& shape, const T* from, Index position, Index begin, Index count, const Part<S>* parts) {
    constexpr int side = Winograd::out, positions_across = Winograd::in;
    for (Index first = 0; first < shape.out; first += parts->channels, ++parts) {
        for (Index tile = 0; tile < count; ++tile) {
            const Window window = window_of(shape, begin + tile, side, 0);
            const bool is_inside = window.is_inside();
            const Index down = shape.width * parts->channels, across = parts->channels;
            S* corner = parts->data + window.at(0, 0, parts->channels);
            const T* source = from + tile * shape.out + first;
            for (Index channel = 0; channel < parts->channels; channel += Simd<T>::lanes) {
                const auto load = [=](int row, int column) {
                    return Simd<T>::load(source + (row * positions_across + column) * position + channel);
                };
                if (is_inside) {
                    S* to = corner + channel;
                    Winograd::both<positions_across, side, Vec<T>>(WINOGRAD_AXIS(output), load,
                        [=](int row, int column, Vec<T> value) { Simd<T>::store(to + row * down + column * across, value); });
                } else {
                    Winograd::both<positions_across, side, Vec<T>>(WINOGRAD_AXIS(output), load,
                        [&](int row, int column, Vec<T> value) {
                            if (window.is_inside(row, column))
                                Simd<T>::store(corner + channel + row * down + column * across, value);
                        });
                }
            }
        }
    }
}

template <class S, class T>
void convolve_tiles(const ConvShape& shape, const Part<const S>* x, const T* expanded, const Part<S>* y, Index begin,
                    Index end, T* scratch) {
    const Index most = shape.tiles_at_once();
    const Index input = ConvShape::spacing(most, shape.in), output = ConvShape::spacing(most, shape.out);
    T* products = scratch + Winograd::positions * input;
    for (Index first = begin; first < end; first += most) {
        const Index count = end - first < most ? end - first : most;
        read_inputs(shape, x, first, count, scratch, input);
        for (int position = 0; position < Winograd::positions; ++position)
            multiply(count, shape.out, shape.in, scratch + position * input, shape.in, Index(1),
                     expanded + position * shape.in * shape.out, shape.out, products + position * output, shape.out, false);
        write_outputs(shape, products, output, first, count, y);
    }
}

template <class S, class T>
void correlate_tiles(const ConvShape& shape, const Part<const S>* x, const Part<const S>* dy, T* expanded, Index begin,
                     Index end, T* scratch) {
    const Index most = shape.tiles_to_correlate();
    const Index input = ConvShape::spacing(most, shape.in), output = ConvShape::spacing(most, shape.out);
    T* gradients = scratch + Winograd::positions * input;
    for (Index first = begin; first < end; first += most) {
        const Index count = end - first < most ? end - first : most;
        read_inputs(shape, x, first, count, scratch, input);
        read_gradients(shape, dy, first, count, gradients, output);
        for (int position = 0; position < Winograd::positions; ++position)
            multiply(shape.in, shape.out, count, scratch + position * input, Index(1), shape.in, gradients + position * output,
                     shape.out, expanded + position * shape.in * shape.out, shape.out, first > begin);
    }
}

// ---- Kernel 1: a matrix product per batch of pixels ------------------------------------------------------------------

/// `count` pixels of a part as T: in place, or converted to `scratch`.
template <class T>
const T* as_computed(const T* pixels, Index, T*) {
    return pixels;
}
template <class T>
const T* as_computed(const BFloat16* pixels, Index numbers, T* scratch) {
    for (Index at = 0; at < numbers; at += Simd<T>::lanes) Simd<T>::store(scratch + at, Simd<T>::load(pixels + at));
    return scratch;
}

/// Where products of type T go: in place, or to `scratch` until `stored` converts them.
template <class T>
T* to_compute(T* pixels, T*) {
    return pixels;
}
template <class T>
T* to_compute(BFloat16*, T* scratch) {
    return scratch;
}
template <class T>
void stored(const T*, Index, T*) {}
template <class T>
void stored(const T* scratch, Index numbers, BFloat16* pixels) {
    for (Index at = 0; at < numbers; at += Simd<T>::lanes) Simd<T>::store(pixels + at, Simd<T>::load(scratch + at));
}

template <class S, class T>
void convolve_pixels(const ConvShape& shape, const Part<const S>* x, const T* expanded, const Part<S>* y, Index begin,
                     Index end, T* scratch) {
    T* products = scratch + ConvShape::pixels_at_once * shape.in;
    for (Index first = begin; first < end; first += ConvShape::pixels_at_once) {
        const Index count = end - first < ConvShape::pixels_at_once ? end - first : ConvShape::pixels_at_once;
        const Part<S>* to = y;
        for (Index column = 0; column < shape.out; column += to->channels, ++to) {
            T* target = to_compute(to->data + first * to->channels, products);
            const Part<const S>* from = x;
            for (Index row = 0; row < shape.in; row += from->channels, ++from) {
                const T* source = as_computed(from->data + first * from->channels, count * from->channels, scratch);
                multiply(count, to->channels, from->channels, source, from->channels, Index(1),
                         expanded + row * shape.out + column, shape.out, target, to->channels, row > 0);
            }
            stored(target, count * to->channels, to->data + first * to->channels);
        }
    }
}

template <class S, class T>
void correlate_pixels(const ConvShape& shape, const Part<const S>* x, const Part<const S>* dy, T* expanded, Index begin,
                      Index end, T* scratch) {
    T* gradients = scratch + ConvShape::pixels_at_once * shape.in;
    for (Index first = begin; first < end; first += ConvShape::pixels_at_once) {
        const Index count = end - first < ConvShape::pixels_at_once ? end - first : ConvShape::pixels_at_once;
        const Part<const S>* from = x;
        for (Index row = 0; row < shape.in; row += from->channels, ++from) {
            const T* source = as_computed(from->data + first * from->channels, count * from->channels, scratch);
            const Part<const S>* by = dy;
            for (Index column = 0; column < shape.out; column += by->channels, ++by) {
                const T* gradient = as_computed(by->data + first * by->channels, count * by->channels, gradients);
                multiply(from->channels, by->channels, count, source, Index(1), from->channels, gradient, by->channels,
                         expanded + row * shape.out + column, shape.out, first > begin);
            }
        }
    }
}

// ---- Weights ---------------------------------------------------------------------------------------------------------

/// Calls `transform` for the kernels of `width` channels at a time, `lanes` side by side.
template <int area, int positions, class T, class Transform>
void expand_rows(const ConvShape& shape, const T* weights, Index channels, bool adjoint, T* expanded, Transform transform) {
    constexpr Index lanes = Simd<T>::lanes;
    // Forward, a row is an input channel and its lanes are output channels of these weights; else they change places.
    const Index rows = adjoint ? channels : shape.in, width = adjoint ? shape.out : channels;
    const Index row_step = adjoint ? width * area : area, lane_step = adjoint ? area : shape.in * area;
    for (Index row = 0; row < rows; ++row) {
        for (Index at = 0; at < width; at += lanes) {
            Vec<T> values[area], result[positions];
            for (int i = 0; i < area; ++i)
                for (Index lane = 0; lane < lanes; ++lane)
                    values[i][lane] = weights[row * row_step + (at + lane) * lane_step + (adjoint ? area - 1 - i : i)];
            transform(values, result);
            for (int i = 0; i < positions; ++i)
                Simd<T>::store(expanded + i * shape.in * shape.out + row * shape.out + at, result[i]);
        }
    }
}

template <int area, int positions, class T, class Transform>
void collapse_rows(const ConvShape& shape, const T* expanded, Index many, Index channels, T* weights, Transform transform) {
    constexpr Index lanes = Simd<T>::lanes;
    for (Index row = 0; row < shape.in; ++row) {
        for (Index at = 0; at < channels; at += lanes) {
            Vec<T> values[positions], result[area];
            for (int i = 0; i < positions; ++i) {
                const T* from = expanded + i * shape.in * shape.out + row * shape.out + at;
                values[i] = Simd<T>::load(from);
                for (Index other = 1; other < many; ++other) values[i] += Simd<T>::load(from + other * shape.expanded());
            }
            transform(values, result);
            for (int i = 0; i < area; ++i)
                for (Index lane = 0; lane < lanes; ++lane)
                    weights[((at + lane) * shape.in + row) * area + i] = result[i][lane];
        }
    }
}

}  // namespace

template <class T>
void expand(const ConvShape& shape, const T* weights, Index channels, bool adjoint, Index column, T* expanded) {
    T* to = expanded + (adjoint ? column * shape.out : column);
    if (shape.kernel == 1) {
        const auto copy = [](const Vec<T>* g, Vec<T>* u) { *u = *g; };
        return expand_rows<1, 1>(shape, weights, channels, adjoint, to, copy);
    }
    expand_rows<9, 36>(shape, weights, channels, adjoint, to,
                       [](const Vec<T>* g, Vec<T>* u) {
        Winograd::both<3, 6, Vec<T>>(
            WINOGRAD_AXIS(expand), [=](int row, int column) { return g[row * 3 + column]; },
            [=](int row, int column, Vec<T> value) { u[row * 6 + column] = value; });
    });
}

template <class T>
void collapse(const ConvShape& shape, const T* expanded, Index many, Index column, Index channels, T* weights) {
    if (shape.kernel == 1) {
        const auto copy = [](const Vec<T>* u, Vec<T>* g) { *g = *u; };
        return collapse_rows<1, 1>(shape, expanded + column, many, channels, weights, copy);
    }
    collapse_rows<9, 36>(shape, expanded + column, many, channels, weights,
                         [](const Vec<T>* u, Vec<T>* g) {
        Winograd::both<6, 3, Vec<T>>(
            WINOGRAD_AXIS(collapse), [=](int row, int column) { return u[row * 6 + column]; },
            [=](int row, int column, Vec<T> value) { g[row * 3 + column] = value; });
    });
}

template <class S, class T>
void convolve(const ConvShape& shape, const Part<const S>* x, const T* expanded, const Part<S>* y, Index begin, Index end,
              T* scratch) {
    if (shape.kernel == 1) return convolve_pixels(shape, x, expanded, y, begin, end, scratch);
    convolve_tiles(shape, x, expanded, y, begin, end, scratch);
}

template <class S, class T>
void correlate(const ConvShape& shape, const Part<const S>* x, const Part<const S>* dy, T* expanded, Index begin, Index end,
               T* scratch) {
    if (shape.kernel == 1) return correlate_pixels(shape, x, dy, expanded, begin, end, scratch);
    correlate_tiles(shape, x, dy, expanded, begin, end, scratch);
}

#define SUPERNAUT_WEIGHTS(T)                                                                       \
    template void expand(const ConvShape&, const T*, Index, bool, Index, T*);                      \
    template void collapse(const ConvShape&, const T*, Index, Index, Index, T*);
#define SUPERNAUT_IMAGES(S, T)                                                                                        \
    template void convolve(const ConvShape&, const Part<const S>*, const T*, const Part<S>*, Index, Index, T*);       \
    template void correlate(const ConvShape&, const Part<const S>*, const Part<const S>*, T*, Index, Index, T*);
SUPERNAUT_WEIGHTS(float)
SUPERNAUT_WEIGHTS(double)
SUPERNAUT_IMAGES(float, float)
SUPERNAUT_IMAGES(double, double)
SUPERNAUT_IMAGES(BFloat16, float)

}  // namespace supernaut::SUPERNAUT_LEVEL
