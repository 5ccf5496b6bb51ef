// Config, memory and I/O accesses of a hostile guest to a PCI root with two functions and a hot-plug port, whose
// function comes and goes, and hostile saved state.
#include <array>
#include <cstdlib>

#include "base/bits.h"
#include "base/bytes.h"
#include "pci/bridge/root_port.h"
#include "pci/root/root.h"

using namespace vireo;

namespace {

class NoLine final : public vm::IrqLine {
  void set(bool) override {}
};

class NoMessages final : public vm::MsiSink {
  void send(const vm::MsiMessage&) override {}
};

class Target final : public pci::Function {
 public:
  Target() : config_(pci::HeaderType::Device, {.vendor = 1, .device = 2, .class_code = 0xFF0000}, pci::kExpressSize) {
    config_.add_bar(0, pci::BarKind::Memory32, 0x1000);
    config_.add_bar(1, pci::BarKind::Io, 16);
    config_.add_bar(2, pci::BarKind::Memory64, 0x4000);
    config_.add_capability(5, std::array<u8, 12>{}, std::array<u8, 12>{0xFF, 0xFF, 0xFF});
    config_.add_extended_capability(1, 1, std::array<u8, 12>{});
  }
  u32 config_read(u16 offset, u8 size) override { return check(offset, size), config_.read(offset, size); }
  void config_write(u16 offset, u8 size, u32 value) override {
    check(offset, size), config_.write(offset, size, value);
  }
  std::vector<pci::ConfigSpace::Range> decoded() const override { return config_.decoded(); }
  u64 bar_read(unsigned bar, u64 offset, u8 size) override { return within(bar, offset, size), 0; }
  void bar_write(unsigned bar, u64 offset, u8 size, u64) override { within(bar, offset, size); }
  pci::ConfigSpace& config() { return config_; }

 private:
  static void check(u16 offset, u8 size) {
    if (offset >= 4096 || (size != 1 && size != 2 && size != 4) || offset % 4 + size > 4) std::abort();
  }
  static void within(unsigned bar, u64 offset, u8 size) {
    constexpr std::array<u64, 3> kSizes = {0x1000, 16, 0x4000};
    if (bar >= kSizes.size() || offset >= kSizes[bar] || size > kSizes[bar] - offset) std::abort();
  }
  pci::ConfigSpace config_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  NoLine line;
  pci::Root root({&line, &line, &line, &line, &line, &line, &line, &line});
  Target target;
  root.attach(1, 0, target);
  auto& pin = root.intx(1, 0);
  NoMessages messages;
  Target card;
  pci::RootPort port({.name = "port", .number = 1, .msi = messages, .pin = root.intx(3, 0), .changed = [] {}});
  root.attach_bridge(3, 0, port);
  ByteReader in(std::span(data, size));
  while (in.remaining() != 0) {
    const u8 what = in.take<u8>();
    const u8 port_size = static_cast<u8>(1u << (what >> 4) % 3);
    const u8 mmio_size = static_cast<u8>(1 + (what >> 4) % 8);
    const u16 offset = in.take<u16>();
    switch (what & 15) {
      case 0:
        root.config_ports().port_write(offset & 7, port_size, in.take<u32>());
        break;
      case 1:
        root.config_ports().port_read(offset & 7, port_size);
        break;
      case 2:
        root.config_ports().port_write(0, 4, 0x80000000 | (offset & 0x1FFF) | (offset & 0x4000) << 2);
        break;
      case 3:
        root.ecam().mmio_write(offset, mmio_size, in.take<u64>());
        break;
      case 4:
        root.ecam().mmio_read(offset, mmio_size);
        break;
      case 5:
        root.ecam().mmio_read(in.take<u32>() & (pci::Root::kEcamSize - 1), mmio_size);
        break;
      case 6:
        root.memory_read(in.take<u64>(), mmio_size);
        break;
      case 7:
        root.memory_write(in.take<u64>(), mmio_size, offset);
        break;
      case 8:
        root.io_read(offset, port_size);
        break;
      case 9:
        root.io_write(offset, port_size, in.take<u32>());
        break;
      case 10:
        pin.set((offset & 1) != 0);
        break;
      case 11:
        root.reset();
        break;
      case 13:  // the owner
        if (!port.occupied()) {
          port.insert(card);
        } else if ((offset & 1) != 0 || port.released()) {
          port.remove();
        } else {
          (void)port.ask_to_remove();
        }
        if (port.take_power_loss()) card.config().reset();
        root.rescan();
        break;
      case 14: {
        auto record = port.save();
        const u16 at = in.take<u16>();
        if (at < record.bytes.size()) record.bytes[at] = in.take<u8>();
        if (port.load(record) && !port.load(port.save())) std::abort();
        root.rescan();
        break;
      }
      case 12: {
        auto record = (offset & 1) != 0 ? root.save() : target.config().save("target");
        for (auto& byte : record.bytes) byte = static_cast<u8>(byte ^ in.take<u8>());
        if ((offset & 1) != 0) {
          (void)root.load(record);
        } else {
          (void)target.config().load_record(record);
        }
        break;
      }
      default: {
        const u64 base = u64{offset & 0xFFFFu} << 16 | in.take<u16>();
        root.memory_read(base, mmio_size);
      }
    }
  }
  return 0;
}
