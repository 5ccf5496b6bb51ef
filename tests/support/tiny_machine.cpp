#include "support/tiny_machine.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/bits.h"

namespace vireo::test {
namespace {

constexpr std::size_t kMostOutput = 1 << 20;
constexpr u64 kMostProgram = 0x80000 - TinyMachine::kLoadAddress;

vm::GuestMemory make_memory(u64 high_ram) {
  std::vector<vm::GuestMemory::Slot> slots{{.gpa = 0, .size = TinyMachine::kRamSize, .offset = 0}};
  if (high_ram != 0) slots.push_back({.gpa = 4 * kGiB, .size = high_ram, .offset = TinyMachine::kRamSize});
  auto memory = vm::GuestMemory::create(std::move(slots));
  if (!memory) {
    std::fprintf(stderr, "no memory for the test machine: %s\n", memory.error().message.c_str());
    std::abort();
  }
  return std::move(*memory);
}

}  // namespace

TinyMachine::TinyMachine(u64 high_ram) : memory_(make_memory(high_ram)) {}

bool TinyMachine::load(std::span<const u8> program) {
  return program.size() <= kMostProgram && memory_.write(kLoadAddress, program.data(), program.size());
}

vm::x86::CpuState TinyMachine::start_state(unsigned cpu) {
  auto state = vm::x86::reset_state(cpu == 0, cpu);
  if (cpu != 0) return state;
  auto& cs = state.sys.segment[vm::x86::CS];
  cs.selector = 0;
  cs.base = 0;
  state.regs.rip = kLoadAddress;
  state.regs.gpr[vm::x86::RSP] = kLoadAddress;
  return state;
}

RunResult TinyMachine::run(std::span<vm::Vcpu* const> vcpus, std::chrono::milliseconds timeout) {
  {
    const std::lock_guard lock(mutex_);
    finished_ = false;
    result_ = {};
  }
  std::vector<std::thread> threads;
  for (auto* vcpu : vcpus) {
    threads.emplace_back([this, vcpu] {
      for (;;) {
        {
          const std::lock_guard lock(mutex_);
          if (finished_) return;
        }
        const auto exit = vcpu->run();
        if (exit.reason == vm::ExitReason::TripleFault) finish({.end = RunResult::End::TripleFault, .cpu = vcpu->id()});
        if (exit.reason == vm::ExitReason::Failed)
          finish({.end = RunResult::End::Failed, .message = exit.message, .cpu = vcpu->id()});
      }
    });
  }
  {
    std::unique_lock lock(mutex_);
    ended_.wait_for(lock, timeout, [this] { return finished_; });
    finished_ = true;  // by timeout if by nothing else
  }
  for (auto* vcpu : vcpus) vcpu->kick();
  for (auto& thread : threads) thread.join();
  const std::lock_guard lock(mutex_);
  return result_;
}

void TinyMachine::finish(RunResult result) {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  result_ = std::move(result);
  ended_.notify_all();
}

std::string TinyMachine::output() const {
  const std::lock_guard lock(mutex_);
  return output_;
}

u64 TinyMachine::mmio_read(u64 gpa, u8 size) {
  if (align_down(gpa, kPageSize) != kMmioPage || (gpa & kPageMask) + size > kPageSize) return 0;
  const std::lock_guard lock(mutex_);
  ++mmio_accesses_;
  u64 value = 0;
  std::memcpy(&value, &mmio_memory_[gpa & kPageMask], size);
  return value;
}

void TinyMachine::mmio_write(u64 gpa, u8 size, u64 value) {
  if (align_down(gpa, kPageSize) != kMmioPage || (gpa & kPageMask) + size > kPageSize) return;
  const std::lock_guard lock(mutex_);
  ++mmio_accesses_;
  std::memcpy(&mmio_memory_[gpa & kPageMask], &value, size);
}

u32 TinyMachine::port_read(u16 port, u8 size) {
  const std::lock_guard lock(mutex_);
  if (port >= 0xE0 && port + size <= 0xE4) {
    u32 value = 0;
    std::memcpy(&value, &port_memory_[port - 0xE0u], size);
    return value;
  }
  if (port == 0xF5) return pic_pending() ? 1 : 0;
  if (port == 0xF7) return std::exchange(mmio_accesses_, 0);
  return static_cast<u32>(mask_for_size(size));
}

void TinyMachine::port_write(u16 port, u8 size, u32 value) {
  switch (port) {
    case 0xE9: {
      const std::lock_guard lock(mutex_);
      if (output_.size() < kMostOutput) output_.push_back(static_cast<char>(value));
      return;
    }
    case 0xF4:
      return finish({.end = RunResult::End::Exit, .code = static_cast<u8>(value)});
    case 0xF5:
      pic_vector_ = static_cast<u8>(value);
      if (pic_changed_) pic_changed_();
      return;
    case 0xF6:
      msi_destination_ = static_cast<u8>(value);
      return;
    case 0xF8:
      if (msi_ != nullptr) msi_->send({.address = 0xFEE00000 | (u64{msi_destination_} << 12), .data = value});
      return;
    default: {
      const std::lock_guard lock(mutex_);
      if (port >= 0xE0 && port + size <= 0xE4) std::memcpy(&port_memory_[port - 0xE0u], &value, size);
    }
  }
}

u8 TinyMachine::pic_acknowledge() {
  constexpr u8 kSpurious = 7;
  const int vector = pic_vector_.exchange(-1);
  return vector < 0 ? kSpurious : static_cast<u8>(vector);
}

}  // namespace vireo::test
