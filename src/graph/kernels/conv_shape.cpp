#include "conv.h"

namespace supernaut {
namespace {

/// Tiles that are transformed together, so that what lies between the transforms stays in a cache of `bytes`.
Index tiles_within(const ConvShape& shape, Index bytes) {
    const Index fitting = bytes / (Tile::positions * (shape.in + shape.out) * Index(sizeof(float)));
    return fitting > 48 ? 48 : fitting < 12 ? 12 : fitting / 6 * 6;
}

}  // namespace

Index ConvShape::tiles() const {
    const Index side = kernel == 3 ? Tile::out : 1;
    return batch * ((height + side - 1) / side) * ((width + side - 1) / side);
}

Index ConvShape::tiles_at_once() const { return kernel == 3 ? tiles_within(*this, 288 << 10) : 5 * pixels_at_once; }

Index ConvShape::tiles_to_correlate() const { return tiles_within(*this, 900 << 10); }

Index ConvShape::positions() const { return kernel == 3 ? Tile::positions : 1; }

Index ConvShape::spacing(Index tiles, Index channels) { return tiles * channels + 16; }

Index ConvShape::scratch() const {
    if (kernel == 1) return pixels_at_once * (in + out);
    const Index tiles = tiles_to_correlate();
    return Tile::positions * (spacing(tiles, in) + spacing(tiles, out));
}

}  // namespace supernaut
