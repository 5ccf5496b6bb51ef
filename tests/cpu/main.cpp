// cpu_tests <engine> <case.asm> <case.bin>: runs one case on one engine. Exit code 0 passed, 1 failed, 77 skipped; the
// reason is on standard output.
#include <fmt/core.h>

#include "case.h"
#include "cpu/kvm/kvm.h"
#include "engines.h"

namespace vireo::test {
namespace {

constexpr int kPassed = 0, kFailed = 1, kSkipped = 77;

int verdict(const Case& test, const RunResult& result) {
  const auto failed = [](std::string_view why, unsigned cpu) {
    fmt::print("failed: {} (vCPU {})\n", why, cpu);
    return kFailed;
  };
  switch (result.end) {
    case RunResult::End::Timeout:
      return failed(fmt::format("no end within {} s", test.timeout.count()), 0);
    case RunResult::End::Failed:
      return failed(result.message, result.cpu);
    case RunResult::End::TripleFault:
      return test.expect == Case::Expect::TripleFault ? kPassed : failed("triple fault", result.cpu);
    case RunResult::End::Exit:
      break;
  }
  if (result.code == kSkipped) {
    fmt::print("skipped\n");
    return kSkipped;
  }
  if (test.expect != Case::Expect::Pass) return failed("it ended, where a triple fault was expected", result.cpu);
  return result.code == 0 ? kPassed : failed(fmt::format("exit code {}", result.code), result.cpu);
}

void print_cpu(vm::Vcpu& vcpu) {
  const auto state = vcpu.state();
  const auto& regs = state.regs;
  fmt::print(
      "vCPU {}: rip {:#x} rflags {:#x} cs {:#x}+{:#x} cr0 {:#x} cr2 {:#x} cr3 {:#x} cr4 {:#x} efer {:#x} activity {}\n",
      vcpu.id(), regs.rip, regs.rflags, state.sys.segment[vm::x86::CS].selector, state.sys.segment[vm::x86::CS].base,
      state.sys.cr0, state.sys.cr2, state.sys.cr3, state.sys.cr4, state.sys.efer, raw(state.event.activity));
  for (unsigned i = 0; i < 16; ++i) fmt::print("r{}={:#x}{}", i, regs.gpr[i], i % 8 == 7 ? "\n" : " ");
}

/// Error Usage: there is no engine of that name.
Result<std::unique_ptr<Engine>> make_engine(std::string_view name, TinyMachine& machine, unsigned cpus) {
  if (name == "interpret") return make_interpret_engine(machine, cpus);
  if (name == "kvm") return make_kvm_engine(machine, cpus);
  if (name == "move") return make_move_engine(machine, cpus);
  cpu::translate::Options options{.code_cache = 8 * kMiB};
  if (name == "translate") return make_translate_engine(machine, cpus, options);
  if (name == "move-translate") return make_move_translate_engine(machine, cpus, options);
  auto& stress = options.stress;
  if (name == "translate-tiny") {
    options.code_cache = kMiB;
    stress.flush_every = 7;
  } else if (name == "translate-fallback") {
    stress.fallback_every = 3;
  } else if (name == "translate-pages") {
    stress.pages_everywhere = true;
  } else if (name == "translate-edges") {
    stress.attention_everywhere = true;
  } else if (name == "translate-forget") {
    stress.attention_everywhere = stress.forget_everywhere = true;
  } else {
    return fail(ErrorKind::Usage, "there is no engine '{}'", name);
  }
  return make_translate_engine(machine, cpus, options);
}

int run(std::string_view engine_name, const std::string& source, const std::string& program) {
  auto test = read_case(source, program);
  if (!test) {
    fmt::print("failed: {}\n", test.error().message);
    return kFailed;
  }
  if ((engine_name == "kvm" || engine_name == "move") && test->kvm_needs_hardware) {
    if (const auto support = cpu::kvm::probe(); support.usable && !support.hardware_backed) {
      fmt::print("skipped: the case is for KVM on hardware; {}\n", support.reason);
      return kSkipped;
    }
  }
  TinyMachine machine(test->high_ram);
  if (!machine.load(test->program)) {
    fmt::print("failed: the program is too large\n");
    return kFailed;
  }
  auto engine = make_engine(engine_name, machine, test->cpus);
  if (!engine) {
    const bool missing = engine.error().kind == ErrorKind::NotFound || engine.error().kind == ErrorKind::Denied;
    fmt::print("{}: {}\n", missing ? "skipped" : "failed", engine.error().message);
    return missing ? kSkipped : kFailed;
  }
  const auto vcpus = (*engine)->vcpus();
  const auto result = machine.run(vcpus, test->timeout);
  fmt::print("{}", machine.output());
  const int code = verdict(*test, result);
  if (code == kFailed) {
    for (auto* vcpu : vcpus) print_cpu(*vcpu);
  }
  return code;
}

}  // namespace
}  // namespace vireo::test

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: cpu_tests <engine> <case.asm> <case.bin>\n");
    return 2;
  }
  return vireo::test::run(argv[1], argv[2], argv[3]);
}
