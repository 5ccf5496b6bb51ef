// A fuzz input as what a hostile guest and an unlucky host do to a device: port accesses of any kind, time, resets,
// saves.
#pragma once

#include <cstdlib>
#include <span>

#include "../unit/dev/fakes.h"
#include "base/bytes.h"

namespace vireo::fuzz {

struct Ports {
  vm::PortDevice* device;
  u16 count;
};

/// Plays `input` on the ports of one chip. `extra` is called for the operations of its own, with a byte.
template <class Chip, class Extra>
void play(std::span<const u8> input, Chip& chip, test::FakeClock& clock, std::span<const Ports> ranges, Extra extra) {
  ByteReader in(input);
  while (in.remaining() > 0) {
    const u8 op = in.take<u8>();
    const Ports& range = ranges[(op >> 4) % ranges.size()];
    const u8 sizes[] = {1, 1, 2, 4};
    switch (op & 15) {
      case 0:
        clock.advance(in.take<u16>());
        break;
      case 1:
        clock.advance(u64{in.take<u16>()} << 12);
        break;
      case 2:
        clock.oversleep(u64{in.take<u16>()} << 20);
        break;
      case 3: {
        // Whatever a guest does, the state can be saved, and what was saved can be loaded and is the same.
        const vm::StateRecord saved = chip.save();
        if (!chip.load(saved)) std::abort();
        break;
      }
      case 4:
        chip.reset();
        break;
      case 5: {
        vm::StateRecord hostile = chip.save();
        for (unsigned i = 0; i < 4 && !hostile.bytes.empty(); ++i) {
          hostile.bytes[in.take<u8>() % hostile.bytes.size()] = in.take<u8>();
        }
        static_cast<void>(chip.load(hostile));
        break;
      }
      case 6:
        extra(in.take<u8>());
        break;
      case 7:
      case 8:
      case 9:
      case 10:
        range.device->port_read(in.take<u8>() % range.count, sizes[op & 3]);
        break;
      default: {
        const u16 port = in.take<u8>() % range.count;
        range.device->port_write(port, sizes[op & 3], sizes[op & 3] == 1 ? in.take<u8>() : in.take<u32>());
      }
    }
  }
}

}  // namespace vireo::fuzz
