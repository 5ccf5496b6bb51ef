#include "random.h"

#include "base/bits.h"

namespace vireo::diff {

u64 Random::integer() {
  switch (below(8)) {
    case 0:
      return below(16);
    case 1:
      return static_cast<u64>(between(-16, -1));
    case 2:
      return bit(static_cast<unsigned>(below(64)));
    case 3:
      return bit(static_cast<unsigned>(below(64))) - 1;
    case 4: {
      const unsigned size = pick({1u, 2u, 4u, 8u});
      return (u64{1} << (size * 8 - 1)) + static_cast<u64>(between(-2, 2));
    }
    case 5:
      return next() & 0xFFFFFFFF;
    case 6:
      return next() & 0xFFFF;
    default:
      return next();
  }
}

u32 Random::float32() {
  const u32 sign = static_cast<u32>(next() & 1) << 31;
  const u32 fraction = static_cast<u32>(next()) & 0x7FFFFF;
  switch (below(10)) {
    case 0:
      return sign;
    case 1:
      return sign | 0x7F800000;
    case 2:
      return sign | 0x7F800000 | (fraction | 1);
    case 3:
      return sign | 0x7FC00000 | (fraction & 0xFF);
    case 4:
      return sign | fraction;
    case 5:
      return sign | 0x00800000 | (fraction & 3);
    case 6:
      return sign | 0x7F7FFFFF;
    case 7:
      return sign | static_cast<u32>(100 + below(60)) << 23 | (percent(50) ? 0 : fraction);
    case 8:
      return sign | static_cast<u32>(127 + below(34)) << 23 | fraction;
    default:
      return static_cast<u32>(next());
  }
}

u64 Random::float64() {
  const u64 sign = (next() & 1) << 63;
  const u64 fraction = next() & 0xFFFFFFFFFFFFF;
  switch (below(10)) {
    case 0:
      return sign;
    case 1:
      return sign | 0x7FF0000000000000;
    case 2:
      return sign | 0x7FF0000000000000 | (fraction >> 1 | 1);
    case 3:
      return sign | 0x7FF8000000000000 | (fraction & 0xFF);
    case 4:
      return sign | fraction;
    case 5:
      return sign | 0x0010000000000000 | (fraction & 3);
    case 6:
      return sign | (896 + below(256)) << 52 | (fraction & ~u64{0x1FFFFFF});
    case 7:
      return sign | (1000 + below(60)) << 52 | (percent(50) ? 0 : fraction);
    case 8:
      return sign | (1023 + below(66)) << 52 | fraction;
    default:
      return next();
  }
}

void Random::float80(u8 (&to)[10]) {
  u64 mantissa = next() | bit(63);
  u64 exponent = 16383 + below(64);
  switch (below(12)) {
    case 0:
      mantissa = exponent = 0;
      break;
    case 1:
      mantissa = bit(63), exponent = 0x7FFF;
      break;
    case 2:
      exponent = 0x7FFF;
      break;
    case 3:
      mantissa = bit(63) | (next() >> 2), exponent = 0x7FFF;
      break;
    case 4:
      mantissa &= ~bit(63), exponent = 0;
      break;
    case 5:
      mantissa &= ~bit(63);
      break;  // unnormal: an unsupported format
    case 6:
      mantissa = bit(63) + (below(4) << 11), exponent = 16383 - below(8);
      break;
    case 7:
      exponent = next() & 0x7FFF;
      break;
    case 8:
      exponent = 16383 - 1030 + below(20);
      break;
    case 9:
      mantissa = next();
      exponent = next() & 0x7FFF;
      break;
    case 10:
      mantissa = (below(1000) << 54) | bit(63);
      break;
    default:
      break;
  }
  store<u64>(to, mantissa);
  store<u16>(to + 8, static_cast<u16>(exponent | (next() & 1) << 15));
}

u64 Random::opmask() {
  switch (below(8)) {
    case 0:
      return 0;
    case 1:
      return ~u64{0};
    case 2:
      return bit(static_cast<unsigned>(below(64)));
    case 3:
      return bit(static_cast<unsigned>(below(17))) - 1;
    case 4:
      return next() & next() & next();
    case 5:
      return next() | next() | next();
    default:
      return next();
  }
}

void Random::vector(u8* to, unsigned size) {
  for (unsigned at = 0; at < size; at += 16) {
    const u64 kind = below(8);
    for (unsigned i = 0; i < 16; i += 4) {
      switch (kind) {
        case 0:
          store<u32>(to + at + i, 0);
          break;
        case 1:
        case 2:
          store<u32>(to + at + i, float32());
          break;
        case 3:
        case 4:
          if (i % 8 == 0) store<u64>(to + at + i, float64());
          break;
        case 5:
          store<u32>(to + at + i, static_cast<u32>(integer()));
          break;
        case 6:
          if (i % 8 == 0) store<u64>(to + at + i, integer());
          break;
        default:
          store<u32>(to + at + i, static_cast<u32>(next()));
          break;
      }
    }
  }
}

}  // namespace vireo::diff
