// The port firmware writes its log to, byte by byte (0x402 on the PC; Bochs introduced it, SeaBIOS and OVMF look for
// it). Reading gives 0xE9 where somebody listens. There is no state.
#pragma once

#include "chardev/api/channel.h"
#include "vm/device/device.h"

namespace vireo::dev {

class DebugPort final : public vm::PortDevice {
 public:
  static constexpr u16 kPorts = 1;
  static constexpr u8 kSignature = 0xE9;

  /// `log` outlives the device.
  explicit DebugPort(chardev::ByteChannel& log) : log_(log) {}

  u32 port_read(u16, u8) override { return kSignature; }
  /// What the channel has no room for is lost: a log does not stop the guest.
  void port_write(u16, u8, u32 value) override {
    const u8 byte = static_cast<u8>(value);
    log_.write({&byte, 1});
  }

 private:
  chardev::ByteChannel& log_;
};

}  // namespace vireo::dev
