#include "vmm/saved_machine.h"

#include <algorithm>

#include "base/log.h"
#include "vmm/engines.h"

namespace vireo::vmm {
namespace {

/// The record of a model, by the name it gives its own state.
Result<> load_one(vm::Stateful& model, std::vector<vm::StateRecord>& states) {
  const auto name = model.save().name;
  const auto found = std::find_if(states.begin(), states.end(), [&](const auto& state) { return state.name == name; });
  if (found == states.end())
    return fail(ErrorKind::Usage, "it has no state of '{}', which this program's machine has", name);
  TRY(model.load(*found));
  states.erase(found);
  return {};
}

}  // namespace

Error SavedMachine::name_file(Error error) const {
  return {error.kind, fmt::format("cannot restore {}: {}", path_, error.message)};
}

Result<SavedMachine> SavedMachine::open(const std::string& path) {
  SavedMachine saved;
  saved.path_ = path;
  TRY_ASSIGN(saved.file_, host::open_to_read(path));
  snapshot::FileSource source(saved.file_, path);
  auto contents = snapshot::examine(source);
  if (!contents) return std::unexpected(saved.name_file(contents.error()));
  const auto& machine = contents->machine;
  if (machine.machine != kMachineKind) {
    return fail(ErrorKind::Usage, "cannot restore {}: it has a machine '{}', which this program does not know", path,
                machine.machine);
  }
  saved.contents_ = std::move(*contents);
  return saved;
}

vm::x86::CpuidTable SavedMachine::cpuid() const {
  vm::x86::CpuidTable table;
  for (const auto& [leaf, subleaf, subleaf_matters, eax, ebx, ecx, edx] : contents_.machine.cpuid) {
    table.leaves.push_back({leaf, subleaf, subleaf_matters, eax, ebx, ecx, edx});
  }
  return table;
}

std::size_t SavedMachine::nics() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      contents_.states, [](const auto& state) { return state.name.starts_with(machine::kNicStateName); }));
}

Result<cpu::x86::CpuModel> SavedMachine::cpu_model(const std::string& wanted) const {
  const auto& name = contents_.machine.cpu_model;
  if (!wanted.empty() && wanted != name) {
    return fail(ErrorKind::Usage, "--cpu: the saved machine has {}; leave the option away", name);
  }
  auto model = cpu::x86::model_of(name, cpuid());
  if (!model) return std::unexpected(name_file(model.error()));
  return model;
}

Result<> SavedMachine::load_states(machine::Pc& pc, vm::VmClock& clock, vm::Stateful& cards,
                                   const vm::x86::CpuidTable& features) {
  if (snapshot::slots_of(pc.memory()) != contents_.machine.slots) {
    return fail(ErrorKind::Usage, "its memory is laid out in another way than this program's machine has it");
  }
  // The host has what its instructions execute; this is what the engine lacks. Most guests use little of it, and what
  // the engine cannot hold at all, such as a bit of XCR0, it refuses itself.
  if (const auto missing = missing_features(cpuid(), features); !missing.empty()) {
    log::warning(
        "the guest was told of CPU features that are missing here (CPUID {}): what uses them will fail; engine {} "
        "saved it",
        missing, contents_.machine.engine);
  }
  auto& states = contents_.states;
  TRY(load_one(clock, states));
  pc.prepare_restore();
  snapshot::FileSource source(file_, path_);
  TRY(snapshot::load_memory(source, pc.memory()));
  TRY(load_one(cards, states));
  for (auto* model : pc.stateful()) TRY(load_one(*model, states));
  if (!states.empty()) {
    return fail(ErrorKind::Usage, "it has a state of '{}', which this program's machine has not", states.front().name);
  }
  for (std::size_t cpu = 0; cpu < contents_.cpus.size(); ++cpu) TRY(pc.vcpus()[cpu]->set_state(contents_.cpus[cpu]));
  return {};
}

Result<> SavedMachine::load_into(machine::Pc& pc, vm::VmClock& clock, vm::Stateful& cards,
                                 const vm::x86::CpuidTable& features) {
  auto loaded = load_states(pc, clock, cards, features);
  contents_ = {};
  if (!loaded) return std::unexpected(name_file(loaded.error()));
  return {};
}

snapshot::Contents contents_of(machine::Pc& pc, const vm::VmClock& clock, const std::string& engine,
                               const std::string& cpu_model, const vm::x86::CpuidTable& features) {
  snapshot::Contents contents;
  const auto& spec = pc.spec();
  contents.machine = {.program = "vireo",
                      .name = spec.name,
                      .machine = kMachineKind,
                      .engine = engine,
                      .cpu_model = cpu_model,
                      .append = spec.command_line,
                      .tsc_khz = clock.tsc_khz(),
                      .cpus = spec.cpus,
                      .memory = spec.memory,
                      .slots = snapshot::slots_of(pc.memory()),
                      .cpuid = {}};
  for (const auto& leaf : features.leaves) {
    contents.machine.cpuid.push_back(
        {leaf.leaf, leaf.subleaf, leaf.subleaf_matters, leaf.eax, leaf.ebx, leaf.ecx, leaf.edx});
  }
  contents.states.push_back(clock.save());
  for (const auto* model : pc.stateful()) contents.states.push_back(model->save());
  for (const auto& vcpu : pc.vcpus()) contents.cpus.push_back(vcpu->state());
  return contents;
}

}  // namespace vireo::vmm
