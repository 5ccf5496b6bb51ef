// The run loop: kicks, ports, MMIO, interrupts, hand-over.
#include <gtest/gtest.h>

#include <thread>

#include "base/bytes.h"
#include "cpu/kvm/kvm.h"
#include "guest.h"

namespace vireo::cpu::kvm {
namespace {

using test::RunResult;
using namespace vm::x86;
using namespace std::chrono_literals;

TEST(KvmRun, AKickGetsAGuestOutOfAnEndlessLoop) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xEB, 0xFE});  // jmp $
  guest.start();
  auto exit = guest.run_alone();
  EXPECT_EQ(exit.wait_for(50ms), std::future_status::timeout);
  guest.vcpu().kick();
  ASSERT_EQ(exit.wait_for(5s), std::future_status::ready);
  EXPECT_EQ(exit.get().reason, vm::ExitReason::Kicked);
  EXPECT_EQ(guest.vcpu().state().regs.rip, 0x7C00u);
}

TEST(KvmRun, AKickBeforeRunIsNotLost) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xEB, 0xFE});
  guest.start();
  guest.vcpu().kick();
  EXPECT_EQ(guest.vcpu().run().reason, vm::ExitReason::Kicked);
}

TEST(KvmRun, AKickWakesAHaltedGuestAndItStaysHalted) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xFA, 0xF4, 0xEB, 0xFC});  // cli; hlt; jmp -4
  guest.start();
  auto exit = guest.run_alone();
  EXPECT_EQ(exit.wait_for(50ms), std::future_status::timeout);
  guest.vcpu().kick();
  ASSERT_EQ(exit.wait_for(5s), std::future_status::ready);
  const auto state = guest.vcpu().state();
  EXPECT_EQ(state.event.activity, Activity::Halted);
  EXPECT_EQ(state.regs.rip, 0x7C02u);
}

TEST(KvmRun, NoKickIsLostInAThousand) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xE4, 0xE0, 0xEB, 0xFC});  // in al, 0xE0; jmp -4
  guest.start();
  std::atomic<unsigned> returned{0};
  constexpr unsigned kRounds = 1000;
  std::thread runner([&] {
    for (unsigned i = 0; i < kRounds; ++i, ++returned) ASSERT_EQ(guest.vcpu().run().reason, vm::ExitReason::Kicked);
  });
  for (unsigned i = 0; i < kRounds; ++i) {
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    guest.vcpu().kick();
    while (returned.load() <= i) ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "kick " << i << " was lost";
  }
  runner.join();
}

/// Kicks from inside an access, so that it is not complete when the kernel comes back.
class KickingMachine final : public vm::MachineIo {
 public:
  u64 mmio_read(u64, u8) override { return kick(0x1122334455667788); }
  void mmio_write(u64, u8, u64) override {}
  u32 port_read(u16, u8 size) override { return static_cast<u32>(kick(0xA1B2C3D4 & mask_for_size(size))); }
  void port_write(u16, u8, u32) override { kick(0); }
  bool pic_pending() override { return false; }
  u8 pic_acknowledge() override { return 0; }
  u64 kick(u64 value) {
    vcpu->kick();
    return value;
  }
  vm::Vcpu* vcpu = nullptr;
};

TEST(KvmRun, AnAccessIsCompletedBeforeAKickReturns) {
  SKIP_WITHOUT_KVM();
  test::TinyMachine tiny;
  KickingMachine io;
  const u8 code[] = {0xE4, 0xE0, 0xEB, 0xFE};  // in al, 0xE0; jmp $
  ASSERT_TRUE(tiny.load(code));
  auto kvm = KvmVm::create(tiny.memory());
  ASSERT_TRUE(kvm) << kvm.error().message;
  auto vcpu = (*kvm)->make_vcpu(
      {.id = 0, .memory = tiny.memory(), .io = io, .clock = tiny.clock(), .cpuid = (*kvm)->supported()});
  ASSERT_TRUE(vcpu) << vcpu.error().message;
  io.vcpu = vcpu->get();
  ASSERT_TRUE((*vcpu)->set_state(test::TinyMachine::start_state(0)));
  EXPECT_EQ((*vcpu)->run().reason, vm::ExitReason::Kicked);
  const auto state = (*vcpu)->state();
  EXPECT_EQ(state.regs.rip, 0x7C02u);
  EXPECT_EQ(state.regs.gpr[RAX] & 0xFF, 0xD4u);
}

TEST(KvmRun, StringPortInstructionsMoveEveryElement) {
  SKIP_WITHOUT_KVM();
  Guest guest({
      0xBE, 0x40, 0x7C,        // mov si, text
      0xB9, 0x05, 0x00,        // mov cx, 5
      0xBA, 0xE9, 0x00,        // mov dx, 0xE9
      0xF3, 0x6E,              // rep outsb
      0xBA, 0xE0, 0x00,        // mov dx, 0xE0
      0xB8, 0x34, 0x12, 0xEF,  // mov ax, 0x1234; out dx, ax
      0xBF, 0x00, 0x05,        // mov di, 0x500
      0xB9, 0x03, 0x00,        // mov cx, 3
      0xF3, 0x6D,              // rep insw
      0xB0, 0x00, 0xE6, 0xF4,  // mov al, 0; out 0xF4, al
      0xEB, 0xFE,              // jmp $
  });
  const char text[] = "hello";
  ASSERT_TRUE(guest.machine().memory().write(0x7C40, text, 5));
  guest.start();
  const auto result = guest.run();
  EXPECT_EQ(result.end, RunResult::End::Exit);
  EXPECT_EQ(guest.machine().output(), "hello");
  u16 words[4];
  ASSERT_TRUE(guest.machine().memory().read(0x500, words, sizeof(words)));
  EXPECT_EQ(words[0], 0x1234);
  EXPECT_EQ(words[2], 0x1234);
  EXPECT_EQ(words[3], 0);
}

TEST(KvmRun, ATripleFaultIsReported) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xF7, 0xF1});  // div ecx
  guest.start();
  auto state = test::TinyMachine::start_state(0);
  state.sys.cr0 |= cr0::PE;
  for (auto seg : {SS, DS, ES, FS, GS})
    state.sys.segment[seg] = {.selector = 0x10, .attributes = 0xC093, .limit = 0xFFFFFFFF, .base = 0};
  state.sys.segment[CS] = {.selector = 0x08, .attributes = 0xC09B, .limit = 0xFFFFFFFF, .base = 0};
  state.sys.idtr = {};
  guest.set_state(state);
  EXPECT_EQ(guest.run().end, RunResult::End::TripleFault);
}

/// As firmware leaves it: "virtual wire".
CpuState with_8259_at_lint0() {
  auto state = test::TinyMachine::start_state(0);
  state.apic.regs[0xF] = 0x1FF;
  state.apic.regs[0x35] = 0x700;
  return state;
}

TEST(KvmRun, AnInterruptOfThe8259WakesAHaltedGuest) {
  SKIP_WITHOUT_KVM();
  Guest guest({
      0xC7,
      0x06,
      0x80,
      0x00,
      0x20,
      0x7C,  // mov word [0x20 * 4], 0x7C20
      0xFB,  // sti
      0xF4,  // hlt
      0xB0,
      0x01,
      0xE6,
      0xF4,  // mov al, 1; out 0xF4, al: came back without the handler
      0xEB,
      0xFE,
  });
  const u8 handler[] = {0xB0, 0x00, 0xE6, 0xF4, 0xEB, 0xFE};
  ASSERT_TRUE(guest.machine().memory().write(0x7C20, handler, sizeof(handler)));
  guest.start();
  guest.set_state(with_8259_at_lint0());
  std::thread later([&] {
    std::this_thread::sleep_for(100ms);
    guest.machine().port_write(0xF5, 1, 0x20);
  });
  const auto result = guest.run();
  later.join();
  EXPECT_EQ(result.end, RunResult::End::Exit);
  EXPECT_EQ(result.code, 0);
  EXPECT_FALSE(guest.machine().pic_pending());
}

TEST(KvmRun, The8259WaitsUntilTheGuestTakesInterrupts) {
  SKIP_WITHOUT_KVM();
  Guest guest({
      0xFA,                                // cli
      0xC7, 0x06, 0x80, 0x00, 0x20, 0x7C,  // mov word [0x20 * 4], 0x7C20
      0xB0, 0x20, 0xE6, 0xF5,              // mov al, 0x20; out 0xF5, al
      0xE4, 0xF5, 0xE6, 0xE0,              // in al, 0xF5; out 0xE0, al: still raised
      0xFB, 0x90,                          // sti; nop
      0xF4, 0xEB, 0xFE,                    // hlt
  });
  const u8 handler[] = {0xE4, 0xE0, 0x34, 0x01, 0xE6, 0xF4, 0xEB, 0xFE};  // in al, 0xE0; xor al, 1; out 0xF4, al
  ASSERT_TRUE(guest.machine().memory().write(0x7C20, handler, sizeof(handler)));
  guest.start();
  guest.set_state(with_8259_at_lint0());
  const auto result = guest.run();
  EXPECT_EQ(result.end, RunResult::End::Exit);
  EXPECT_EQ(result.code, 0);
}

TEST(KvmRun, WithoutAFinisherAnInstructionThatKvmCannotEmulateIsAFailureThatNamesIt) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xB0, 0x19, 0x27, 0xB0, 0x00, 0xE6, 0xF4, 0xEB, 0xFE});  // mov al, 0x19; daa; ...
  guest.start();
  const auto result = guest.run();
  if (result.end == RunResult::End::Exit) GTEST_SKIP() << "this host executes everything";
  EXPECT_EQ(result.end, RunResult::End::Failed);
  EXPECT_NE(result.message.find("0x7c02"), std::string::npos) << result.message;
}

TEST(KvmRun, AFinisherExecutesWhatKvmCannotAndTheGuestGoesOn) {
  SKIP_WITHOUT_KVM();
  Guest guest({0xB0, 0x19, 0x27, 0xE6, 0xF4, 0xEB, 0xFE});  // mov al, 0x19; daa; out 0xF4, al
  unsigned calls = 0;
  guest.start([&](CpuState& state) -> vm::Exit {
    ++calls;
    EXPECT_EQ(state.regs.rip, 0x7C02u);
    EXPECT_EQ(state.regs.gpr[RAX] & 0xFF, 0x19u);
    state.regs.gpr[RAX] = (state.regs.gpr[RAX] & ~u64{0xFF}) | 0x42;
    ++state.regs.rip;
    return {};
  });
  const auto result = guest.run();
  if (calls == 0) GTEST_SKIP() << "this host executes everything";
  EXPECT_EQ(result.end, RunResult::End::Exit);
  EXPECT_EQ(result.code, 0x42);
  EXPECT_EQ(guest.kvm().handed_over(), 1u);
}

}  // namespace
}  // namespace vireo::cpu::kvm
