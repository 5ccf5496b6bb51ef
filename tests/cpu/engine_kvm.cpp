#include "cpu/interp/interp.h"
#include "cpu/kvm/kvm.h"
#include "cpu/x86/cpuid_model.h"
#include "software_cpu.h"

namespace vireo::test {
namespace {

class KvmEngine final : public Engine {
 public:
  static Result<std::unique_ptr<Engine>> make(TinyMachine& machine, unsigned cpus) {
    auto engine = std::make_unique<KvmEngine>();
    TRY_ASSIGN(engine->kvm_, cpu::kvm::KvmVm::create(machine.memory()));
    auto& kvm = *engine->kvm_;
    engine->connect(machine);
    for (unsigned id = 0; id < cpus; ++id) {
      const vm::VcpuSetup setup{.id = id,
                                .memory = machine.memory(),
                                .io = machine,
                                .clock = machine.clock(),
                                .cpuid = cpu::x86::make_cpuid({.vcpu = id, .vcpus = cpus, .software = false})};
      // With the whole CPU model: a KVM without hardware shows the guest the host's CPUID, whatever it was told.
      auto& helper = engine->helpers_.emplace_back(std::make_unique<SoftwareCpu>(
          machine, engine->unused_bus_, id, cpus, nullptr, cpu::interp::make_interpreter));
      TRY_ASSIGN(auto vcpu, kvm.make_vcpu(setup, [&vcpu = helper->vcpu()](vm::x86::CpuState& state) -> vm::Exit {
        if (auto done = vcpu.set_state(state); !done) return {vm::ExitReason::Failed, done.error().message};
        auto exit = cpu::interp::step(vcpu);
        state = vcpu.state();
        return exit;
      }));
      TRY(vcpu->set_state(TinyMachine::start_state(id)));
      engine->vcpus_.push_back(std::move(vcpu));
    }
    return engine;
  }
  void connect(TinyMachine& machine) override {
    machine.set_msi_sink(kvm_.get());
    machine.set_pic_changed([this, &machine] { kvm_->pic_output(machine.pic_pending()); });
  }
  std::vector<vm::Vcpu*> vcpus() override {
    std::vector<vm::Vcpu*> list;
    for (const auto& vcpu : vcpus_) list.push_back(vcpu.get());
    return list;
  }

 private:
  irq::ApicBus unused_bus_;  ///< the helpers' APICs send nothing
  std::unique_ptr<cpu::kvm::KvmVm> kvm_;
  std::vector<std::unique_ptr<SoftwareCpu>> helpers_;
  std::vector<std::unique_ptr<vm::Vcpu>> vcpus_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_kvm_engine(TinyMachine& machine, unsigned cpus) {
  return KvmEngine::make(machine, cpus);
}

}  // namespace vireo::test
