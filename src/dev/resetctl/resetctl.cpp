#include "dev/resetctl/resetctl.h"

namespace vireo::dev {
using namespace resetctl;

u8 ResetControl::Port::read_register(u16 offset) {
  if (offset != 0) return 0xFF;
  const std::lock_guard lock(chip_.mutex_);
  return chip_.s_.*register_;
}

void ResetControl::Port::write_register(u16 offset, u8 value) {
  if (offset != 0) return;
  const bool is_port92 = register_ == &State::port92;
  const u8 trigger = is_port92 ? port92::InitNow : rst_cnt::RST_CPU;
  bool reset = false;
  {
    const std::lock_guard lock(chip_.mutex_);
    u8& old = chip_.s_.*register_;
    reset = (value & ~old & trigger) != 0;
    old = value & (is_port92 ? port92::InitNow | port92::A20 : rst_cnt::kWritable);
  }
  if (reset) chip_.power_.request(vm::PowerControl::Request::Reset);
}

bool ResetControl::a20() const {
  const std::lock_guard lock(mutex_);
  return (s_.port92 & port92::A20) != 0;
}

void ResetControl::reset() {
  const std::lock_guard lock(mutex_);
  s_ = State{};
}

vm::StateRecord ResetControl::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("resetctl", s_);
}

Result<> ResetControl::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  if ((state.port92 & ~(port92::InitNow | port92::A20)) != 0 || (state.rst_cnt & ~rst_cnt::kWritable) != 0) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt: impossible register value", record.name);
  }
  const std::lock_guard lock(mutex_);
  s_ = state;
  return {};
}

}  // namespace vireo::dev
