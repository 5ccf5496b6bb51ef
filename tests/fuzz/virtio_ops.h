// A fuzz input as what a hostile driver does to a virtio device: registers of any kind, anything in its rings and
// buffers, doorbells, resets, saves.
#pragma once

#include <cstdlib>
#include <span>
#include <type_traits>

#include "base/bytes.h"
#include "support/virtio_driver.h"

namespace vireo::fuzz {

/// `make` makes the device; `extra` is called for the operations of its own, with a byte, and the driver if it wants.
template <class Make, class Extra>
void play(std::span<const u8> input, Make make, Extra extra) {
  using test::VirtioDriver;
  ByteReader in(input);
  VirtioDriver driver(make());
  const auto load_hostile = [&](bool spoil) {
    vm::StateRecord record = driver.device.save();
    for (unsigned i = 0; spoil && i < 4; ++i) record.bytes[in.take<u16>() % record.bytes.size()] ^= in.take<u8>();
    const bool loaded = driver.device.load(record).has_value();
    if (!spoil && !loaded) std::abort();  // what was saved can be loaded
  };
  driver.enable((in.take<u8>() & 1) != 0);
  driver.start(in.take<u64>() & driver.device_features(), (in.take<u8>() & 1) != 0 ? 8 : 0);
  const auto queues = static_cast<unsigned>(driver.common(virtio::Common::num_queues, 2));
  while (in.remaining() != 0) {
    const u8 op = in.take<u8>();
    const u8 sizes[] = {1, 2, 4, 8};
    const u8 size = sizes[op >> 4 & 3];
    switch (op & 15) {
      case 0:
        static_cast<void>(driver.device.bar_read(0, in.take<u16>() % (virtio::window::kSize - 8), size));
        break;
      case 1: {
        const u16 offset = in.take<u16>() % (virtio::window::kSize - 8);
        driver.device.bar_write(0, offset, size, in.take<u64>());
        break;
      }
      case 2: {
        const u16 offset = in.take<u8>();
        driver.write(virtio::window::Common, offset % virtio::kCommonSize, size, in.take<u32>());
        break;
      }
      case 3: {
        const u16 offset = in.take<u8>() & 0xFC;
        driver.device.config_write(offset, 4, in.take<u32>());
        break;
      }
      case 4:
        static_cast<void>(driver.device.config_read(in.take<u8>() & 0xFC, 4));
        break;
      case 5:
        driver.device.pause();
        load_hostile((op & 0x10) != 0);
        driver.device.resume();
        break;
      case 6:
        if ((op & 0x70) == 0) driver.device.reset();
        if ((op & 0x70) == 0x10) driver.start(in.take<u64>() & driver.device_features(), 8);
        break;
      case 7:
        driver.clock.advance(u64{in.take<u8>()} << 24);
        break;
      case 8:
        if constexpr (std::is_invocable_v<Extra, u8, VirtioDriver&>) {
          extra(in.take<u8>(), driver);
        } else {
          extra(in.take<u8>());
        }
        break;
      case 9:
      case 10:
        if (queues != 0) driver.notify(op % queues);
        break;
      case 11: {  // a buffer that a driver would add, but of any piece
        if (queues == 0) break;
        auto& ring = driver.ring((op >> 4) % queues);
        std::vector<test::Piece> pieces;
        const unsigned count = 1 + in.take<u8>() % 4;
        const u8 writable = in.take<u8>();
        for (unsigned i = 0; i < count; ++i) {
          pieces.push_back({VirtioDriver::kData + in.take<u16>(), in.take<u16>() & 0x1FFFu, i >= (writable & 3u)});
        }
        if (ring.free() >= count) ring.add(pieces);
        break;
      }
      default: {  // anything in the rings and buffers
        const u64 value = in.take<u64>();
        const u16 offset = in.take<u16>();
        const u64 area = (op & 0x80) != 0 ? VirtioDriver::kData : 0x200000 + (op >> 6 & 1) * test::RingDriver::kArea;
        driver.memory.write(area + offset, &value, size);
      }
    }
  }
  driver.clock.advance(u64{1} << 32);
}

}  // namespace vireo::fuzz
