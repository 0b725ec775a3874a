#include "join.h"

namespace supernaut::SUPERNAUT_LEVEL {
namespace {

template <class T>
using Vec = typename Simd<T>::Vector;

/// Adds `values` to doubles.
template <class T>
void add_to(double* sums, Vec<T> values) {
    for (Index lane = 0; lane < Simd<T>::lanes; ++lane) sums[lane] += values[lane];
}

/// Pixels whose sums are formed in T; longer ones go on in double, lest digits are lost.
constexpr Index pixels_at_once = 64;

/// Σ values and Σ values·weight(pixel, values) over some pixels of one group of lanes, four at a time.
template <class T, class Values, class Weight>
void add_sums(Index pixels, Values values, Weight weight, double* sums, double* products) {
    for (Index first = 0; first < pixels; first += pixels_at_once) {
        const Index end = first + pixels_at_once < pixels ? first + pixels_at_once : pixels;
        Vec<T> sum{}, product{};
        Index pixel = first;
        for (; pixel + 4 <= end; pixel += 4) {
            const Vec<T> v0 = values(pixel), v1 = values(pixel + 1), v2 = values(pixel + 2), v3 = values(pixel + 3);
            sum += (v0 + v1) + (v2 + v3);
            product += (v0 * weight(pixel, v0) + v1 * weight(pixel + 1, v1)) +
                       (v2 * weight(pixel + 2, v2) + v3 * weight(pixel + 3, v3));
        }
        for (; pixel < end; ++pixel) {
            const Vec<T> v = values(pixel);
            sum += v;
            product += v * weight(pixel, v);
        }
        if (sums) add_to<T>(sums, sum);
        add_to<T>(products, product);
    }
}

/// One over the pixels of a 3-wide window around `at` that lie in 0…size.
template <class T>
T share(Index at, Index size) {
    return 1 / T(3 - (at == 0) - (at == size - 1));
}

/// The scratch of a thread. What lies outside an image is read from zeros: a share of 0 would make of infinity what is no number.
template <class T>
struct Rows {
    T* row;
    T* column;  // sums of a few rows, with a pixel of zeros on either side
    T* outside;  // a row of zeros, whatever it is read as

    Rows(const JoinShape& shape, T* scratch) {
        const Index numbers = shape.width * shape.channels;
        row = scratch;
        outside = row + numbers;
        column = outside + numbers + shape.channels;
        for (Index at = 0; at < numbers + shape.channels; at += Simd<T>::lanes) Simd<T>::store(outside + at, Vec<T>{});
        for (Index at = 0; at < shape.channels; at += Simd<T>::lanes) Simd<T>::store(column + numbers + at, Vec<T>{});
    }
};

/// rows.column = the rows of `image` that row `y` of a 3×3 average reads, added up; each with its own share if `adjoint`.
template <class S, class T>
void add_rows(const JoinShape& shape, const S* image, Index y, bool adjoint, const Rows<T>& rows) {
    const Index numbers = shape.width * shape.channels;
    const auto line = [&](Index y) {
        return y < 0 || y == shape.height ? reinterpret_cast<const S*>(rows.outside) : image + y * numbers;
    };
    const auto share_of = [&](Index y) { return adjoint ? share<T>(y, shape.height) : 1; };
    const S *top = line(y - 1), *middle = line(y), *bottom = line(y + 1);
    const T top_share = share_of(y - 1), middle_share = share_of(y), bottom_share = share_of(y + 1);
    T* to = rows.column;
    for (Index at = 0; at < numbers; at += Simd<T>::lanes)
        Simd<T>::store(to + at, Simd<T>::load(middle + at) * middle_share + Simd<T>::load(top + at) * top_share +
                                    Simd<T>::load(bottom + at) * bottom_share);
}

/// rows.row += row `y` of the 3×3 average of `image`, or of the adjoint of averaging.
template <class S, class T>
void add_pooled(const JoinShape& shape, const S* image, Index y, bool adjoint, const Rows<T>& rows) {
    const Index channels = shape.channels;
    add_rows(shape, image, y, adjoint, rows);
    const T row_share = adjoint ? 1 : share<T>(y, shape.height);
    for (Index x = 0; x < shape.width; ++x) {
        // Forward all three get the share of the pixel that is made, backward each that of the pixel it came from.
        const T middle_share = share<T>(x, shape.width) * row_share;
        const T left_share = adjoint ? share<T>(x - 1, shape.width) : middle_share;
        const T right_share = adjoint ? share<T>(x + 1, shape.width) : middle_share;
        for (Index channel = 0; channel < channels; channel += Simd<T>::lanes) {
            const auto pixel = [=, from = rows.column](Index x) { return Simd<T>::load(from + x * channels + channel); };
            T* to = rows.row + x * channels + channel;
            Simd<T>::store(to, Simd<T>::load(to) + pixel(x) * middle_share + pixel(x - 1) * left_share + pixel(x + 1) * right_share);
        }
    }
}

/// rows.row = the sum of what is pooled of `images`, whose row `y` starts at `from`; whether there is any.
template <class S, class T, class Image>
bool pool_row(const JoinShape& shape, const Image* images, Index count, Index from, Index y, bool adjoint, const Rows<T>& rows) {
    bool is_any = false;
    for (Index at = 0; at < count; ++at) {
        if (images[at].form != Form::pooled) continue;
        if (!is_any)
            for (Index number = 0; number < shape.width * shape.channels; number += Simd<T>::lanes)
                Simd<T>::store(rows.row + number, Vec<T>{});
        add_pooled(shape, images[at].data + from - y * shape.width * shape.channels, y, adjoint, rows);
        is_any = true;
    }
    return is_any;
}

}  // namespace

template <class S, class T>
void moments(const JoinShape& shape, const S* x, const T* pivot, Index begin, Index end, double* sums, double* squares) {
    const Index pixels = shape.height * shape.width, channels = shape.channels;
    for (Index image = begin; image < end; ++image) {
        for (Index channel = 0; channel < channels; channel += Simd<T>::lanes) {
            const S* from = x + image * pixels * channels + channel;
            const Vec<T> less = Simd<T>::load(pivot + channel);
            const auto values = [=](Index pixel) { return Simd<T>::load(from + pixel * channels) - less; };
            const auto itself = [](Index, Vec<T> value) { return value; };
            add_sums<T>(pixels, values, itself, sums + image * channels + channel, squares + image * channels + channel);
        }
    }
}

template <class S, class T>
void join(const JoinShape& shape, const Term<S, T>* terms, Index count, S* sum, S* active, T most, Index begin, Index end,
          T* scratch) {
    const Index channels = shape.channels, numbers = shape.width * channels;
    const Rows<T> rows(shape, scratch);
    for (Index line = begin * shape.height; line < end * shape.height; ++line) {
        const Index from = line * numbers;
        const bool is_pooled = pool_row<S>(shape, terms, count, from, line % shape.height, false, rows);
        for (Index pixel = 0; pixel < numbers; pixel += channels)
            for (Index channel = 0; channel < channels; channel += Simd<T>::lanes) {
                const Index at = pixel + channel;
                Vec<T> value = is_pooled ? Simd<T>::load(rows.row + at) : Vec<T>{};
                for (const Term<S, T>* term = terms; term < terms + count; ++term) {
                    if (term->form == Form::pooled) continue;
                    const Vec<T> own = Simd<T>::load(term->data + from + at);
                    value += term->scale ? own * Simd<T>::load(term->scale + channel) + Simd<T>::load(term->shift + channel) : own;
                }
                if (sum) Simd<T>::store(sum + from + at, value);
                // Written so that what is not a number stays so.
                value = value < 0 ? Vec<T>{} : value;
                if (active) Simd<T>::store(active + from + at, value > most ? Simd<T>::all(most) : value);
            }
    }
}

template <class S, class T>
void join_gradient(const JoinShape& shape, const Reader<S>* readers, Index count, const S* active, T most, S* gradient,
                   double* sums, const Normed<S, T>* normed, Index norms, Index begin, Index end, T* scratch) {
    constexpr Index lanes = Simd<T>::lanes;
    const Index channels = shape.channels, numbers = shape.width * channels;
    const Rows<T> rows(shape, scratch);
    for (Index line = begin * shape.height; line < end * shape.height; ++line) {
        const Index from = line * numbers, image = line / shape.height;
        const bool is_pooled = pool_row<S>(shape, readers, count, from, line % shape.height, true, rows);
        for (Index at = 0; at < numbers; at += lanes) {
            Vec<T> plain = is_pooled ? Simd<T>::load(rows.row + at) : Vec<T>{}, masked{};
            for (const Reader<S>* reader = readers; reader < readers + count; ++reader) {
                if (reader->form == Form::plain) plain += Simd<T>::load(reader->data + from + at);
                if (is_active(reader->form)) masked += Simd<T>::load(reader->data + from + at);
            }
            if (active) {
                const Vec<T> value = Simd<T>::load(active + from + at);
                plain += (value > 0) & (value != most) ? masked : Vec<T>{};
            }
            Simd<T>::store(rows.row + at, plain);
            Simd<T>::store(gradient + from + at, plain);
        }
        for (Index norm = 0; norm < norms; ++norm) {
            for (Index channel = 0; channel < channels; channel += lanes) {
                const S* data = normed[norm].data + from + channel;
                const Vec<T> mean = Simd<T>::load(normed[norm].mean + channel);
                const auto values = [=, row = rows.row](Index pixel) { return Simd<T>::load(row + pixel * channels + channel); };
                const auto centred = [=](Index pixel, Vec<T>) { return Simd<T>::load(data + pixel * channels) - mean; };
                // Every norm has the same sum of gradients: the first one's loop makes it.
                double* first = norm == 0 ? sums + image * channels + channel : nullptr;
                add_sums<T>(shape.width, values, centred, first, normed[norm].products + image * channels + channel);
            }
        }
    }
}

template <class S, class T>
void norm_gradient(const JoinShape& shape, const S* gradient, const S* data, const T* a, const T* b, const T* c, S* result,
                   Index begin, Index end) {
    const Index channels = shape.channels, image = shape.height * shape.width * channels;
    for (Index pixel = begin * image; pixel < end * image; pixel += channels)
        for (Index channel = 0; channel < channels; channel += Simd<T>::lanes) {
            const Vec<T> slope = Simd<T>::load(a + channel) * Simd<T>::load(gradient + pixel + channel);
            const Vec<T> drift = Simd<T>::load(b + channel) * Simd<T>::load(data + pixel + channel);
            Simd<T>::store(result + pixel + channel, slope + drift + Simd<T>::load(c + channel));
        }
}

#define SUPERNAUT_JOIN(S, T)                                                                                              \
    template void moments<S, T>(const JoinShape&, const S*, const T*, Index, Index, double*, double*);                    \
    template void join(const JoinShape&, const Term<S, T>*, Index, S*, S*, T, Index, Index, T*);                          \
    template void join_gradient(const JoinShape&, const Reader<S>*, Index, const S*, T, S*, double*, const Normed<S, T>*, \
                                Index, Index, Index, T*);                                                                 \
    template void norm_gradient(const JoinShape&, const S*, const S*, const T*, const T*, const T*, S*, Index, Index);
SUPERNAUT_JOIN(float, float)
SUPERNAUT_JOIN(double, double)
SUPERNAUT_JOIN(BFloat16, float)

}  // namespace supernaut::SUPERNAUT_LEVEL
