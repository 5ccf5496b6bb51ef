#include "engines.h"

#include "cpu/kvm/kvm.h"

namespace vireo::test {
namespace {

class KvmEngine final : public Engine {
 public:
  static Result<std::unique_ptr<Engine>> make(TinyMachine& machine, unsigned cpus) {
    auto engine = std::make_unique<KvmEngine>();
    TRY_ASSIGN(engine->kvm_, cpu::kvm::KvmVm::create(machine.memory()));
    auto& kvm = *engine->kvm_;
    machine.set_msi_sink(&kvm);
    machine.set_pic_changed([&kvm, &machine] { kvm.pic_output(machine.pic_pending()); });
    for (unsigned id = 0; id < cpus; ++id) {
      const vm::VcpuSetup setup{
          .id = id, .memory = machine.memory(), .io = machine, .clock = machine.clock(), .cpuid = kvm.supported()};
      TRY_ASSIGN(auto vcpu, kvm.make_vcpu(setup));
      TRY(vcpu->set_state(TinyMachine::start_state(id)));
      engine->vcpus_.push_back(std::move(vcpu));
    }
    return engine;
  }
  std::vector<vm::Vcpu*> vcpus() override {
    std::vector<vm::Vcpu*> list;
    for (const auto& vcpu : vcpus_) list.push_back(vcpu.get());
    return list;
  }

 private:
  std::unique_ptr<cpu::kvm::KvmVm> kvm_;
  std::vector<std::unique_ptr<vm::Vcpu>> vcpus_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(std::string_view name, TinyMachine& machine, unsigned cpus) {
  if (name == "kvm") return KvmEngine::make(machine, cpus);
  return fail(ErrorKind::NotFound, "the engine '{}' is not in this build", name);
}

}  // namespace vireo::test
