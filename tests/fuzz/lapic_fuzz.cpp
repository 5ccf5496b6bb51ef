// Three local APICs with their paravirtual side: registers, MSRs, messages, hypercalls, time and states, in any order.
#include <cstdlib>

#include "../unit/irq/manual_clock.h"
#include "base/bytes.h"
#include "irq/ioapic/ioapic.h"
#include "irq/paravirt/paravirt.h"
#include "vm/x86/state_fields.h"

namespace {

using namespace vireo;

struct Cpu {
  Cpu(vm::GuestMemory& memory, vm::Clock& clock, irq::ApicBus& bus, u32 id)
      : lapic(bus, clock, {.id = id, .bootstrap_processor = id == 0, .physical_address_bits = 46}),
        paravirt({.memory = memory, .clock = clock, .bus = bus, .lapic = lapic, .run_delay_ns = [this] {
                    return ++delay;
                  }}) {}
  u64 delay = 0;
  irq::Lapic lapic;
  irq::Paravirt paravirt;
};

void attend(Cpu& cpu) {
  (void)cpu.lapic.take_signals();
  cpu.paravirt.collect_eoi();
  const auto vector = cpu.lapic.pending_vector();
  if (!vector) return;
  if (*vector < 16) std::abort();
  cpu.lapic.accept(*vector);
  if (cpu.lapic.pending_vector() == vector) std::abort();
  cpu.paravirt.offer_eoi(*vector);
}

u32 msr_index(u8 selector) {
  switch (selector >> 6) {
    case 0:
      return 0x4B564D00U + (selector & 7);
    case 1:
      return selector & 1 ? 0x1B : 0x6E0;
    default:
      return 0x800U + (selector & 0x7F);
  }
}

template <class S>
void load_state(ByteReader& in, S& state) {
  std::vector<u8> bytes(4096, in.take<u8>());
  const auto given = in.take_bytes(std::min<std::size_t>(in.remaining(), 64));
  std::copy(given.begin(), given.end(), bytes.begin());
  vm::Archive archive{std::span<const u8>(bytes)};
  fields(archive, state);
}

vm::GuestMemory& shared_memory() {
  static auto memory = vm::GuestMemory::create({{.gpa = 0, .size = 0x4000, .offset = 0}});
  if (!memory) std::abort();
  return *memory;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader in({data, size});
  test::ManualClock clock;
  irq::ApicBus bus;
  irq::IoApic ioapic(bus);
  bus.set_level_eoi([&ioapic](u8 vector) { ioapic.eoi(vector); });
  auto& memory = shared_memory();
  Cpu cpus[] = {{memory, clock, bus, 0}, {memory, clock, bus, 1}, {memory, clock, bus, 40}};
  u64 value = 0;
  while (in.remaining() != 0) {
    const u8 what = in.take<u8>();
    Cpu& cpu = cpus[what % 3];
    switch (what >> 4) {
      case 0:
      case 1:
      case 2:
        cpu.lapic.mmio_write(u32{in.take<u8>()} << 4, in.take<u32>());
        break;
      case 3:
        (void)cpu.lapic.mmio_read(in.take<u16>() & 0xFFF);
        break;
      case 4:
      case 5: {
        const u32 index = msr_index(in.take<u8>());
        value = in.take<u64>();
        if (vm::KvmParavirt::owns_msr(index)) {
          (void)cpu.paravirt.write_msr(index, value & 0x40 ? value : value & 0x3FFF);
        } else {
          (void)cpu.lapic.write_msr(index, value);
        }
        break;
      }
      case 6: {
        const u32 index = msr_index(in.take<u8>());
        (void)(vm::KvmParavirt::owns_msr(index) ? cpu.paravirt.read_msr(index, value)
                                                : cpu.lapic.read_msr(index, value));
        break;
      }
      case 7:
        bus.send({.address = 0xFEE00000 | (in.take<u32>() & 0xFFFFF), .data = in.take<u32>()});
        break;
      case 8:
        clock.advance(in.take<u16>() * u64{100});
        break;
      case 9:
        cpu.lapic.set_cr8(in.take<u8>() & 15);
        break;
      case 10:
        cpu.paravirt.hypercall(in.take<u8>(), in.take<u64>(), in.take<u8>(), in.take<u8>(), in.take<u32>());
        break;
      case 11:
        cpu.paravirt.sleeps();
        (void)cpu.paravirt.woke();
        break;
      case 12:
        cpu.lapic.set_tsc_offset(in.take<u64>());
        break;
      case 13:
        if (what & 8) {
          vm::x86::ApicState apic;
          vm::x86::ParavirtState paravirt;
          load_state(in, apic);
          load_state(in, paravirt);
          cpu.lapic.set_state(apic);
          cpu.paravirt.set_state(paravirt);
        } else {
          const auto saved = cpu.lapic.state();
          cpu.lapic.set_state(saved);
          if (cpu.lapic.state().regs != saved.regs) std::abort();
        }
        break;
      case 14:
        cpu.lapic.init();
        break;
      default:
        ioapic.pin(what & 15).set((in.take<u8>() & 1) != 0);
        break;
    }
    attend(cpu);
  }
  return 0;
}
