#include "vmm/control_commands.h"

namespace vireo::vmm {
namespace {

using api::Answer;
using api::Arguments;
using api::Json;

Json status(const Life& life) {
  const bool running = life.state() == Life::State::Running;
  const bool over = life.state() == Life::State::Stopped;
  return {{"running", running}, {"status", running ? "running" : over ? "shutdown" : "paused"}};
}

Json cpus(const CpuThreads& threads) {
  Json list = Json::array();
  for (const auto* vcpu : threads.vcpus()) {
    const unsigned id = vcpu->id();
    list.push_back({{"cpu-index", id},
                    {"qom-path", fmt::format("/machine/cpu[{}]", id)},
                    {"thread-id", threads.thread_number(id)},
                    {"props", {{"socket-id", 0}, {"core-id", id}, {"thread-id", 0}}},
                    {"target", "x86_64"}});
  }
  return list;
}

/// Who took the turn and why, in QMP's words (QEMU's ShutdownCause).
Json reason(Cause cause) {
  const auto words = [](bool guest, const char* why) { return Json{{"guest", guest}, {"reason", why}}; };
  switch (cause) {
    case Cause::GuestShutdown:
      return words(true, "guest-shutdown");
    case Cause::GuestReset:
      return words(true, "guest-reset");
    case Cause::GuestPanic:
      return words(true, "guest-panic");
    case Cause::HostError:
      return words(false, "host-error");
    case Cause::HostSignal:
      return words(false, "host-signal");
    case Cause::HostUi:
      return words(false, "host-ui");
    case Cause::ControlQuit:
      return words(false, "host-qmp-quit");
    case Cause::ControlReset:
      return words(false, "host-qmp-system-reset");
  }
  return {};
}

}  // namespace

void add_commands(Control& control, const Controlled& what) {
  const auto query = [&](const char* name, std::function<Json()> ask) {
    control.commands().add({name, {}, [ask = std::move(ask)](const Arguments&) -> Answer { return ask(); }});
  };
  const auto act = [&](const char* name, std::function<void()> run) {
    control.commands().add({name, {}, [run = std::move(run)](const Arguments&) -> Answer {
                              run();
                              return Json::object();
                            }});
  };
  query("query-version", [] { return api::version_info(VIREO_VERSION); });
  query("query-name", [&pc = what.pc] { return Json{{"name", pc.spec().name}}; });
  query("query-status", [&life = what.life] { return status(life); });
  query("query-cpus-fast", [&threads = what.cpus] { return cpus(threads); });
  query("query-kvm",
        [used = what.kvm_used, usable = what.kvm_usable] { return Json{{"enabled", used}, {"present", usable}}; });
  act("stop", [&life = what.life] { life.pause(); });
  act("cont", [&life = what.life] { life.go_on(); });
  act("system_reset", [&life = what.life] { life.reset(); });
  act("system_powerdown", [&life = what.life] { life.press_button(); });
  act("quit", [&life = what.life] { life.pull_plug(Cause::ControlQuit); });  // after the answer
}

void announce(Control& control, const LifeEvent& event) {
  switch (event.kind) {
    case LifeEvent::Kind::Paused:
      return control.announce("STOP");
    case LifeEvent::Kind::GoesOn:
      return control.announce("RESUME");
    case LifeEvent::Kind::ButtonPressed:
      return control.announce("POWERDOWN");
    case LifeEvent::Kind::Reset:
      return control.announce("RESET", reason(event.cause));
    case LifeEvent::Kind::Stopped:
      return control.announce("SHUTDOWN", reason(event.cause));
  }
}

}  // namespace vireo::vmm
