// A state file whose records are sound may still hold any state: each model refuses what it cannot have, and whatever
// it takes leaves it fit for use.
#include <cstdlib>

#include "base/bytes.h"
#include "chardev/api/null.h"
#include "cpu/interp/interp.h"
#include "cpu/x86/cpuid_model.h"
#include "machine/pc/pc.h"
#include "snapshot/contents.h"
#include "snapshot/cpu_check.h"
#include "vm/clock/vm_clock.h"
#include "vm/x86/state_fields.h"
#include "vmm/saved_machine.h"

using namespace vireo;

namespace {

class NoPower final : public vm::PowerControl {
 public:
  void request(Request) override {}
};

struct Rig {
  std::unique_ptr<host::Loop> loop = *host::Loop::create();
  vm::VmClock clock{*loop, 1'000'000};
  NoPower power;
  chardev::NullChannel serial;
  std::unique_ptr<machine::Pc> pc;
  std::vector<vm::StateRecord> states;  ///< of the machine as it was made
  std::vector<u8> cpu;

  Rig() {
    machine::Spec spec;
    spec.memory = 4 * kMiB;
    spec.kernel = "/dev/null";
    auto made = machine::Pc::create(spec, {.clock = clock,
                                           .power = power,
                                           .serial = {&serial},
                                           .make_vcpu = [](vm::VcpuSetup setup) -> Result<std::unique_ptr<vm::Vcpu>> {
                                             return cpu::interp::make_interpreter(setup);
                                           },
                                           .cpuid = [](unsigned id) { return cpu::x86::make_cpuid({.vcpu = id}); },
                                           .make_fabric = {}});
    if (!made) std::abort();
    pc = std::move(*made);
    states = vmm::contents_of(*pc, clock, "interpret", "host", {}).states;
    vm::Archive archive;
    auto state = pc->vcpus()[0]->state();
    fields(archive, state);
    cpu = archive.take_bytes();
  }
};

void patch(std::vector<u8>& bytes, ByteReader& in) {
  const u16 at = in.take<u16>();
  const u8 value = in.take<u8>();
  if (!bytes.empty()) bytes[at % bytes.size()] = value;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  static Rig rig;
  ByteReader in({data, size});
  auto states = rig.states;
  auto cpu = rig.cpu;
  for (u8 patches = in.take<u8>() % 32; patches != 0; --patches) {
    const u8 which = in.take<u8>();
    patch(which < 64 ? cpu : states[which % states.size()].bytes, in);
  }

  rig.pc->prepare_restore();
  (void)rig.clock.load(states[0]);
  std::size_t index = 1;
  for (auto* model : rig.pc->stateful()) {
    const auto& record = states[index++];
    if (!model->load(record)) continue;
    // What a model took, it gives again, and takes again.
    const auto again = model->save();
    if (!model->load(again)) std::abort();
  }
  vm::Archive archive{std::span<const u8>(cpu)};
  vm::x86::CpuState state;
  fields(archive, state);
  if (archive.finished() && snapshot::check(state)) {
    (void)rig.pc->vcpus()[0]->set_state(state);
    (void)rig.pc->vcpus()[0]->state();
  }

  auto& io = rig.pc->io();
  while (in.remaining() >= 4) {
    const u8 kind = in.take<u8>();
    const u8 length = static_cast<u8>(1u << (kind / 4 % 3));
    const u16 at = in.take<u16>();
    const u8 value = in.take<u8>();
    switch (kind % 4) {
      case 0:
        (void)io.port_read(at, length);
        break;
      case 1:
        io.port_write(at, length, value);
        break;
      case 2:
        (void)io.mmio_read(0xFEC00000 + at % 0x1000 / 8 * 8, length);
        break;
      default:
        io.mmio_write(0xFEC00000 + at % 0x1000 / 8 * 8, length, value);
        break;
    }
  }
  for (auto* model : rig.pc->stateful()) (void)model->save();
  return 0;
}
