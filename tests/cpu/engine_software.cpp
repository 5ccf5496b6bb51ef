#include "cpu/interp/interp.h"
#include "software_cpu.h"

namespace vireo::test {
namespace {

class SoftwareEngine final : public Engine {
 public:
  SoftwareEngine(TinyMachine& machine, unsigned cpus, const vm::x86::CpuidTable* limit, const SoftwareCpu::Make& make) {
    for (unsigned id = 0; id < cpus; ++id)
      cpus_.push_back(std::make_unique<SoftwareCpu>(machine, bus_, id, cpus, limit, make));
    connect(machine);
  }
  void connect(TinyMachine& machine) override {
    machine.set_msi_sink(&bus_);
    machine.set_pic_changed([this] { cpus_[0]->wake(); });
  }
  Result<> start() {
    for (const auto& cpu : cpus_) TRY(cpu->vcpu().set_state(TinyMachine::start_state(cpu->vcpu().id())));
    return {};
  }
  std::vector<vm::Vcpu*> vcpus() override {
    std::vector<vm::Vcpu*> list;
    for (const auto& cpu : cpus_) list.push_back(&cpu->vcpu());
    return list;
  }

 private:
  irq::ApicBus bus_;
  std::vector<std::unique_ptr<SoftwareCpu>> cpus_;
};

}  // namespace

Result<std::unique_ptr<Engine>> make_interpret_engine(TinyMachine& machine, unsigned cpus,
                                                      const vm::x86::CpuidTable* limit) {
  auto engine = std::make_unique<SoftwareEngine>(machine, cpus, limit, cpu::interp::make_interpreter);
  TRY(engine->start());
  return engine;
}

Result<std::unique_ptr<Engine>> make_translate_engine(TinyMachine& machine, unsigned cpus,
                                                      const cpu::translate::Options& options) {
  if (auto can = cpu::translate::supported(); !can) return fail(ErrorKind::NotFound, "{}", can.error().message);
  auto engine = std::make_unique<SoftwareEngine>(machine, cpus, nullptr, [&options](const vm::VcpuSetup& setup) {
    return cpu::translate::make_translator(setup, options).value();
  });
  TRY(engine->start());
  return engine;
}

}  // namespace vireo::test
