// Port accesses of a hostile guest to the firmware configuration device, DMA descriptors of its making among them, and
// hostile saved state.
#include <cstdlib>

#include "base/bytes.h"
#include "dev/fwcfg/fwcfg.h"

using namespace vireo;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  constexpr u64 kMemory = 64 * kKiB;
  static vm::GuestMemory memory = std::move(*vm::GuestMemory::create({{.gpa = 0, .size = kMemory, .offset = 0}}));
  dev::FwCfg chip(memory);
  chip.add_file("etc/fixed", std::vector<u8>(300, 'f'));
  chip.add_file("etc/made", 100, [] { return std::vector<u8>(100, 'm'); });
  ByteReader in(std::span(data, size));
  while (in.remaining() != 0) {
    const u8 what = in.take<u8>();
    const u8 access = static_cast<u8>(1u << (what >> 4) % 3);
    switch (what & 7) {
      case 0:
        chip.port_read(in.take<u16>(), access);
        break;
      case 1:
        chip.port_write(in.take<u16>(), access, in.take<u32>());
        break;
      case 2:
        chip.port_write(dev::fwcfg::kSelector, 2, in.take<u8>());
        break;
      case 3: {
        const auto descriptor = in.take_bytes(dev::fwcfg::kDmaAccessSize);
        const u16 at = in.take<u16>();
        if (!in.ok()) break;
        memory.write(at, descriptor.data(), descriptor.size());
        chip.port_write(dev::fwcfg::kDmaLow, 4, std::byteswap(u32{at}));
        break;
      }
      case 4:
        chip.reset();
        break;
      case 5: {
        auto record = chip.save();
        if (!chip.load(record)) std::abort();
        for (auto& byte : record.bytes) byte = static_cast<u8>(byte ^ in.take<u8>());
        (void)chip.load(record);
        break;
      }
      default:
        chip.port_read(dev::fwcfg::kData, 1);
    }
  }
  return 0;
}
