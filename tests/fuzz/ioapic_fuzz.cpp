// The I/O APIC: accesses, pins, ends of interrupt and saved states, in any order.
#include <cstdlib>

#include "base/bytes.h"
#include "irq/ioapic/ioapic.h"

namespace {

struct CountingSink final : vireo::vm::MsiSink {
  void send(const vireo::vm::MsiMessage& message) override {
    if (message.address >> 20 != 0xFEE) std::abort();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vireo;
  ByteReader in({data, size});
  CountingSink sink;
  irq::IoApic ioapic(sink, [](unsigned pin, const irq::IoApic::Route&) {
    if (pin >= irq::IoApic::kPins) std::abort();
  });
  while (in.remaining() != 0) {
    const u8 what = in.take<u8>();
    const auto width = static_cast<u8>(1 + (what & 7));
    switch (what >> 5) {
      case 0:
        ioapic.mmio_write(in.take<u16>() & 0xFFF, width, in.take<u64>());
        break;
      case 1:
        (void)ioapic.mmio_read(in.take<u16>() & 0xFFF, width);
        break;
      case 2:
        ioapic.mmio_write(0x00, 1, in.take<u8>());
        ioapic.mmio_write(0x10, 4, in.take<u32>());
        break;
      case 3:
        ioapic.mmio_write(0x00, 1, in.take<u8>());
        (void)ioapic.mmio_read(0x10, 4);
        break;
      case 4:
        ioapic.pin((what & 31U) % irq::IoApic::kPins).set(true);
        break;
      case 5:
        ioapic.pin((what & 31U) % irq::IoApic::kPins).set(false);
        break;
      case 6:
        ioapic.eoi(in.take<u8>());
        break;
      default:
        if (what & 1) {
          const auto bytes = in.take_bytes(what & 2 ? in.remaining() : 198);
          (void)ioapic.load({.name = "ioapic", .bytes = {bytes.begin(), bytes.end()}});
        }
        if (!ioapic.load(ioapic.save())) std::abort();
    }
  }
  return 0;
}
