#include "cpu/interp/interp.h"
#include "software_cpu.h"

namespace vireo::test {
namespace {

class InterpretEngine final : public Engine {
 public:
  InterpretEngine(TinyMachine& machine, unsigned cpus, const vm::x86::CpuidTable* limit) {
    for (unsigned id = 0; id < cpus; ++id)
      cpus_.push_back(std::make_unique<SoftwareCpu>(machine, bus_, id, cpus, limit));
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
  auto engine = std::make_unique<InterpretEngine>(machine, cpus, limit);
  TRY(engine->start());
  return engine;
}

}  // namespace vireo::test
