// Eight-bit devices of the ISA bus: a wider access is taken apart into bytes at successive ports, as the bus does.
#pragma once

#include "vm/device/device.h"

namespace vireo::dev {

class ByteDevice : public vm::PortDevice {
 public:
  u32 port_read(u16 offset, u8 size) final {
    u32 value = 0;
    for (u8 i = 0; i < size && i < 4; ++i) value |= u32{read_register(static_cast<u16>(offset + i))} << (8 * i);
    return value;
  }
  void port_write(u16 offset, u8 size, u32 value) final {
    for (u8 i = 0; i < size && i < 4; ++i) {
      write_register(static_cast<u16>(offset + i), static_cast<u8>(value >> (8 * i)));
    }
  }

 protected:
  /// What is no register reads as 0xFF and ignores writes.
  virtual u8 read_register(u16 offset) = 0;
  virtual void write_register(u16 offset, u8 value) = 0;
};

}  // namespace vireo::dev
