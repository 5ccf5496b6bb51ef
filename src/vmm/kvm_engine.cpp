// The KVM engine in the machine: its fabric, and the interpreter behind it for the instructions it gives up on.
#include "cpu/interp/interp.h"
#include "vmm/engines.h"

namespace vireo::vmm {
namespace {

class KvmFabric final : public machine::InterruptFabric {
 public:
  explicit KvmFabric(std::unique_ptr<cpu::kvm::KvmVm> vm) : vm_(std::move(vm)) {}
  cpu::kvm::KvmVm& vm() { return *vm_; }

  vm::MsiSink& msi() override { return *vm_; }
  void ioapic_route(unsigned pin, const irq::IoApic::Route& route) override {
    vm_->ioapic_route(pin, route.masked, route.level, route.message);
  }
  void set_eoi(std::function<void(u8 vector)> eoi) override { vm_->set_eoi(std::move(eoi)); }
  void reset() override {}  // what is on its way is in the local APICs, which are set with the vCPUs' states

 private:
  std::unique_ptr<cpu::kvm::KvmVm> vm_;
};

/// The local APIC and the paravirtual interface of a CPU that executes one instruction: they keep their state and do
/// nothing. Instructions that reach the real ones are never handed over, the kernel executes those itself.
class StillApic final : public vm::LocalApic {
 public:
  void set_wake(std::function<void()>) override {}
  Signals take_signals() override { return {}; }
  std::optional<u8> pending_vector() override { return {}; }
  void accept(u8) override {}
  bool accepts_pic() const override { return false; }
  u32 mmio_read(u32) override { return 0; }
  void mmio_write(u32, u32) override {}
  std::optional<u64> mmio_page() const override { return {}; }
  bool read_msr(u32, u64&) override { return false; }
  bool write_msr(u32, u64) override { return false; }
  u8 cr8() const override { return static_cast<u8>(state_.regs[kTpr] >> 4); }
  void set_cr8(u8 value) override { state_.regs[kTpr] = static_cast<u32>(value) << 4; }
  void init() override {}
  vm::x86::ApicState state() override { return state_; }
  void set_state(const vm::x86::ApicState& state) override { state_ = state; }

 private:
  static constexpr unsigned kTpr = 8;  ///< register page offset 0x80 (SDM 3A table 10-1)
  vm::x86::ApicState state_;
};

class StillParavirt final : public vm::KvmParavirt {
 public:
  bool read_msr(u32, u64&) override { return false; }
  bool write_msr(u32, u64) override { return false; }
  u64 hypercall(u64, u64, u64, u64, u64) override { return ~u64{0}; }
  void sleeps() override {}
  bool woke() override { return false; }
  void collect_eoi() override {}
  void offer_eoi(u8) override {}
  bool take_unhalt() override { return false; }
  vm::x86::ParavirtState state() override { return state_; }
  void set_state(const vm::x86::ParavirtState& state) override { state_ = state; }

 private:
  vm::x86::ParavirtState state_;
};

/// Executes the instructions that KVM hands over.
class Finisher {
 public:
  explicit Finisher(vm::VcpuSetup setup) : setup_(std::move(setup)) {
    setup_.apic = &apic_;
    setup_.paravirt = &paravirt_;
    interpreter_ = cpu::interp::make_interpreter(setup_);
  }
  vm::Exit operator()(vm::x86::CpuState& state) {
    if (auto set = interpreter_->set_state(state); !set) return {vm::ExitReason::Failed, set.error().message};
    auto exit = cpu::interp::step(*interpreter_);
    state = interpreter_->state();
    return exit;
  }

 private:
  vm::VcpuSetup setup_;
  StillApic apic_;
  StillParavirt paravirt_;
  std::unique_ptr<vm::Vcpu> interpreter_;
};

}  // namespace

void plug_in_kvm(machine::PcHost& host, vm::x86::CpuidTable& features) {
  auto fabric = std::make_shared<KvmFabric*>(nullptr);
  host.make_fabric = [fabric, &features](vm::GuestMemory& memory) -> Result<std::unique_ptr<machine::InterruptFabric>> {
    TRY_ASSIGN(auto vm, cpu::kvm::KvmVm::create(memory));
    features = vm->offered(features);
    auto made = std::make_unique<KvmFabric>(std::move(vm));
    *fabric = made.get();
    return made;
  };
  host.make_vcpu = [fabric](vm::VcpuSetup setup) -> Result<std::unique_ptr<vm::Vcpu>> {
    auto& vm = (*fabric)->vm();
    // The interpreter can run all of the model, also what this KVM masks from CPUID and the guest sees all the same.
    auto finisher = std::make_shared<Finisher>(setup);
    setup.cpuid = vm.offered(setup.cpuid);
    return vm.make_vcpu(setup, [finisher](vm::x86::CpuState& state) { return (*finisher)(state); });
  };
}

}  // namespace vireo::vmm
