// The 8259 pair: accesses, lines, acknowledge cycles and saved states, in any order.
#include <cstdlib>

#include "base/bytes.h"
#include "irq/pic/pic.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vireo;
  ByteReader in({data, size});
  irq::Pic pic([](bool) {});
  while (in.remaining() != 0) {
    const u8 what = in.take<u8>();
    vm::PortDevice* const blocks[] = {&pic.master_ports(), &pic.slave_ports(), &pic.elcr_ports()};
    vm::PortDevice& ports = *blocks[what % 3];
    const auto width = static_cast<u8>(1U << (what >> 2 & 3) & 7);
    const u16 offset = what >> 4 & 1;
    switch (what >> 5) {
      case 0:
      case 1:
      case 2:
        ports.port_write(offset, width == 0 ? 1 : width, in.take<u32>());
        break;
      case 3:
        (void)ports.port_read(offset, width == 0 ? 1 : width);
        break;
      case 4:
        pic.line(what & 15).set(true);
        break;
      case 5:
        pic.line(what & 15).set(false);
        break;
      case 6:
        (void)pic.acknowledge();
        break;
      default:
        if (what & 1) {
          const auto bytes = in.take_bytes(what & 2 ? in.remaining() : 32);
          (void)pic.load({.name = "pic", .bytes = {bytes.begin(), bytes.end()}});
        }
        if (!pic.load(pic.save())) std::abort();
    }
  }
  return 0;
}
