#include "vmm/life.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "cpu/x86/cpuid_model.h"
#include "fake_vcpu.h"
#include "vmm/engines.h"
#include "vmm/registers.h"

namespace vireo::vmm {
namespace {

using State = Life::State;
using Request = vm::PowerControl::Request;

class FakeMachine final : public Machine {
 public:
  explicit FakeMachine(FakeVcpu& a, FakeVcpu& b) : a_(a), b_(b) {}
  void set_time(bool runs) override { time_runs = runs; }
  Result<> boot() override {
    expect_alone();
    ++boots;
    if (fail_boot) return fail(ErrorKind::Usage, "no kernel");
    return {};
  }
  void press_power_button() override { ++presses; }
  Result<> save(bool complete) override {
    expect_alone();
    ++(complete ? complete_saves : saves);
    if (fail_save) return fail(ErrorKind::Failed, "the disk is full");
    return {};
  }
  void finish_save() override { ++finishes; }
  void write_stats() override {
    expect_alone();
    ++stats;
  }

  bool time_runs = false, fail_boot = false, fail_save = false;
  std::atomic<int> presses = 0;
  int boots = 0, saves = 0, complete_saves = 0, finishes = 0, stats = 0;

 private:
  void expect_alone() {
    EXPECT_FALSE(a_.running());
    EXPECT_FALSE(b_.running());
    EXPECT_FALSE(time_runs);
  }
  FakeVcpu& a_;
  FakeVcpu& b_;
};

struct Lifes : testing::Test {
  std::unique_ptr<host::Loop> loop = *host::Loop::create();
  Life life{*loop};
  FakeVcpu a{0}, b{1};
  FakeMachine machine{a, b};
  CpuThreads cpus{{&a, &b}, [this](unsigned cpu, vm::Exit exit) { life.cpu_ended(cpu, std::move(exit)); }};

  using Event = std::function<void()>;
  Event press_button = [this] { life.ask_for_power_off(); };

  /// Runs the life; each event but the last is dealt with before the next happens.
  void live(std::vector<Event> events, OnCrash on_crash = OnCrash::Stop, AfterSave after = AfterSave::GoOn) {
    life.own(machine, cpus, on_crash, after);
    EXPECT_EQ(life.state(), State::Created);
    life.start();
    EXPECT_EQ(life.state(), State::Running);
    EXPECT_TRUE(machine.time_runs);
    std::thread other([&] {
      for (std::size_t i = 0; i < events.size(); ++i) {
        a.await_running();
        b.await_running();
        const unsigned before = a.runs;
        const int presses = machine.presses;
        events[i]();
        if (i + 1 == events.size()) break;
        while (a.runs == before && machine.presses == presses) std::this_thread::yield();
      }
    });
    loop->run();
    other.join();
    EXPECT_EQ(life.state(), State::Stopped);
  }
};

TEST_F(Lifes, PowerOffByTheGuestEndsItWithZero) {
  live({[&] { life.request(Request::PowerOff); }});
  EXPECT_EQ(life.exit_code(), 0);
  EXPECT_EQ(machine.boots, 0);
}

TEST_F(Lifes, AResetBootsTheMachineAgain) {
  live({[&] { life.request(Request::Reset); }, [&] { life.request(Request::Reset); },
        [&] { life.request(Request::PowerOff); }});
  EXPECT_EQ(machine.boots, 2);
  EXPECT_EQ(life.exit_code(), 0);
}

TEST_F(Lifes, ARebootThatFailsEndsItWithOne) {
  machine.fail_boot = true;
  live({[&] { life.request(Request::Reset); }});
  EXPECT_EQ(life.exit_code(), 1);
}

TEST_F(Lifes, PowerOffGoesBeforeReset) {
  live({[&] {
    loop->post([&] {
      life.request(Request::Reset);
      life.request(Request::PowerOff);
    });
  }});
  EXPECT_EQ(machine.boots, 0);
}

TEST_F(Lifes, TheSecondRequestToPowerOffPullsThePlug) {
  live({press_button, press_button});
  EXPECT_EQ(machine.presses, 1);
  EXPECT_EQ(life.exit_code(), 0);
}

TEST_F(Lifes, AfterARebootTheButtonIsTheFirstAgain) {
  live({press_button, [&] { life.request(Request::Reset); }, press_button, press_button});
  EXPECT_EQ(machine.presses, 2);
}

TEST_F(Lifes, ATripleFaultStopsWithOne) {
  live({[&] { b.end_with({vm::ExitReason::TripleFault, ""}); }});
  EXPECT_EQ(life.exit_code(), 1);
  EXPECT_EQ(machine.boots, 0);
}

TEST_F(Lifes, ATripleFaultRebootsWhenAskedTo) {
  live({[&] { b.end_with({vm::ExitReason::TripleFault, ""}); }, [&] { life.pull_plug(Cause::HostUi); }},
       OnCrash::Reboot);
  EXPECT_EQ(machine.boots, 1);
  EXPECT_EQ(life.exit_code(), 0);
}

TEST_F(Lifes, AGuestThatCrashesAllTheTimeIsReportedAFewTimesOnly) {
  std::vector<Event> events(20, [this] { b.end_with({vm::ExitReason::TripleFault, ""}); });
  events.push_back([this] { life.pull_plug(Cause::HostUi); });
  testing::internal::CaptureStderr();
  live(events, OnCrash::Reboot);
  const auto text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(machine.boots, 20);
  EXPECT_LT(text.size(), 10'000u);
  EXPECT_NE(text.find("further crashes are not reported"), std::string::npos);
}

TEST_F(Lifes, AnEngineThatCannotGoOnStopsWhateverWasAskedFor) {
  live({[&] { a.end_with({vm::ExitReason::Failed, "out of memory"}); }}, OnCrash::Reboot);
  EXPECT_EQ(machine.boots, 0);
  EXPECT_EQ(life.exit_code(), 1);
}

TEST_F(Lifes, ASavedMachineGoesOn) {
  live({[&] { life.ask_for_save(); }, [&] { life.ask_for_save(); }, [&] { life.pull_plug(Cause::HostUi); }});
  EXPECT_EQ(machine.saves, 2);
  EXPECT_EQ(machine.finishes, 2);
}

TEST_F(Lifes, StatisticsAreTakenFromAStandingMachineThatGoesOn) {
  live({[&] { life.ask_for_stats(); }, [&] { life.ask_for_stats(); }, [&] { life.pull_plug(Cause::HostUi); }});
  EXPECT_EQ(machine.stats, 2);
  EXPECT_EQ(life.exit_code(), 0);
}

TEST_F(Lifes, StatisticsComeBeforeASaveThatStops) {
  live({[&] {
         loop->post([&] {
           life.ask_for_save();
           life.ask_for_stats();
         });
       }},
       OnCrash::Stop, AfterSave::Stop);
  EXPECT_EQ(machine.stats, 1);
  EXPECT_EQ(machine.complete_saves, 1);
}

TEST_F(Lifes, ASavedMachineStopsWhenAskedTo) {
  live({[&] { life.ask_for_save(); }}, OnCrash::Stop, AfterSave::Stop);
  EXPECT_EQ(machine.complete_saves, 1);
  EXPECT_EQ(machine.finishes, 0);
  EXPECT_EQ(life.exit_code(), 0);
}

TEST_F(Lifes, ASaveThatFailsLosesNothing) {
  machine.fail_save = true;
  live({[&] { life.ask_for_save(); }, [&] { life.pull_plug(Cause::HostUi); }}, OnCrash::Stop, AfterSave::Stop);
  EXPECT_EQ(machine.complete_saves, 1);
  EXPECT_EQ(machine.finishes, 0);
  EXPECT_EQ(life.exit_code(), 0);
}

// What a person asks for over the control socket; the calls are the owner's, so each test is one run of the loop in
// which they come one after the other.
struct PausedLifes : Lifes {
  std::vector<std::string> turns;

  void SetUp() override {
    life.observe([this](const LifeEvent& event) {
      static constexpr const char* kNames[] = {"paused", "goes on", "button", "reset", "stopped"};
      turns.emplace_back(kNames[static_cast<std::size_t>(event.kind)]);
    });
  }
  /// Runs the life with `script` on the owner's thread, then pulls the plug.
  void run(const std::function<void()>& script, AfterSave after = AfterSave::GoOn) {
    live({[&] {
           loop->post([&] {
             script();
             life.pull_plug(Cause::ControlQuit);
           });
         }},
         OnCrash::Reboot, after);
  }
  /// Lets posted requests be served.
  void expect_standing() {
    EXPECT_EQ(life.state(), State::Paused);
    EXPECT_FALSE(a.running());
    EXPECT_FALSE(machine.time_runs);
  }
  void expect_running() {
    EXPECT_EQ(life.state(), State::Running);
    EXPECT_TRUE(machine.time_runs);
  }
};

TEST_F(PausedLifes, APausedMachineStandsStillUntilItGoesOn) {
  run([&] {
    life.pause();
    expect_standing();
    life.go_on();
    expect_running();
    a.await_running();
  });
  EXPECT_EQ(turns, (std::vector<std::string>{"paused", "goes on", "stopped"}));
}

TEST_F(PausedLifes, PausingTwiceIsPausingOnce) {
  run([&] {
    life.pause();
    life.pause();
    life.go_on();
    life.go_on();
    expect_running();
  });
  EXPECT_EQ(turns, (std::vector<std::string>{"paused", "goes on", "stopped"}));
}

TEST_F(PausedLifes, AResetLeavesAPausedMachinePaused) {
  run([&] {
    life.pause();
    life.reset();
    expect_standing();
    EXPECT_EQ(machine.boots, 1);
    life.go_on();
    expect_running();
  });
  EXPECT_EQ(turns, (std::vector<std::string>{"paused", "reset", "goes on", "stopped"}));
}

TEST_F(PausedLifes, ASaveLeavesAPausedMachinePaused) {
  run([&] {
    life.pause();
    life.ask_for_save();
    life.pause();  // serves what waits
    expect_standing();
    EXPECT_EQ(machine.saves, 1);
    EXPECT_EQ(machine.finishes, 1);
  });
}

TEST_F(PausedLifes, APauseThatComesWithASaveHoldsAfterIt) {
  run([&] {
    life.ask_for_save();
    life.pause();
    expect_standing();
    EXPECT_EQ(machine.saves, 1);
  });
}

TEST_F(PausedLifes, AGuestThatPowersOffWhilePausingIsOff) {
  live({[&] {
    loop->post([&] {
      life.request(Request::PowerOff);
      life.pause();
      EXPECT_EQ(life.state(), State::Stopped);
      life.go_on();
      EXPECT_EQ(life.state(), State::Stopped);
    });
  }});
  EXPECT_EQ(turns, std::vector<std::string>{"stopped"});
}

TEST_F(PausedLifes, TheButtonOverTheSocketNeverPullsThePlug) {
  run([&] {
    life.press_button();
    life.press_button();
    life.pause();
    life.press_button();
    expect_standing();
    EXPECT_EQ(machine.presses, 3);
  });
}

TEST_F(PausedLifes, WorkFindsEveryCpuParkedAndTheMachineGoesOn) {
  run([&] {
    bool done = false;
    life.while_parked([&] {
      done = true;
      EXPECT_FALSE(a.running());
      EXPECT_FALSE(b.running());
      EXPECT_FALSE(machine.time_runs);
    });
    EXPECT_TRUE(done);
    expect_running();
    life.pause();
    life.while_parked([&] { done = false; });
    EXPECT_FALSE(done);
    expect_standing();
  });
}

TEST_F(PausedLifes, WorkThatAVcpuAsksForIsDone) {
  std::atomic<bool> done = false;
  live({[&] { life.ask_for_work([&] { done = true; }); }, [&] { life.pull_plug(Cause::HostUi); }});
  EXPECT_TRUE(done);
}

TEST(Engines, AutoTakesKvmOnlyWithHardwareBehindIt) {
  const cpu::kvm::Support hardware{.usable = true, .hardware_backed = true, .reason = "VT-x"};
  const cpu::kvm::Support emulated{.usable = true, .hardware_backed = false, .reason = "no VT-x"};
  EXPECT_EQ(choose_engine(Engine::Auto, hardware)->engine, Engine::Kvm);
  EXPECT_NE(choose_engine(Engine::Auto, emulated)->engine, Engine::Kvm);
  EXPECT_EQ(choose_engine(Engine::Auto, emulated)->why, "no VT-x");
  EXPECT_EQ(choose_engine(Engine::Kvm, emulated)->engine, Engine::Kvm);
  EXPECT_EQ(choose_engine(Engine::Interpret, hardware)->engine, Engine::Interpret);
}

TEST(Engines, KvmWithoutPermissionIsDeniedWhenAskedForAndLeftAloneOtherwise) {
  const cpu::kvm::Support denied{.reason = "no permission", .kind = ErrorKind::Denied};
  EXPECT_EQ(choose_engine(Engine::Kvm, denied).error().kind, ErrorKind::Denied);
  EXPECT_NE(choose_engine(Engine::Auto, denied)->engine, Engine::Kvm);
}

TEST(Engines, FeaturesThatAGuestMissesAreNamed) {
  const auto features = cpu::x86::make_cpuid({.software = false});
  auto fewer = features;
  for (auto& leaf : fewer.leaves) {
    if (leaf.leaf == 1) leaf.ecx &= ~u32{1};  // SSE3
  }
  EXPECT_EQ(missing_features(features, features), "");
  EXPECT_EQ(missing_features(fewer, features), "");
  EXPECT_EQ(missing_features(features, fewer), "1.0.ecx:00000001");
}

TEST(Registers, NameTheModeAndEveryRegister) {
  auto state = vm::x86::reset_state(true, 0);
  const auto text = describe_registers(state);
  EXPECT_NE(text.find("real mode, RIP=000000000000fff0"), std::string::npos) << text;
  EXPECT_NE(text.find("CS=f000 00000000ffff0000"), std::string::npos) << text;
  EXPECT_NE(text.find("R15="), std::string::npos);
  EXPECT_NE(text.find("CR3="), std::string::npos);
}

}  // namespace
}  // namespace vireo::vmm
