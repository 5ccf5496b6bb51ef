#include "dev/i8042/i8042.h"

#include "base/bits.h"

namespace vireo::dev {
using namespace i8042;

I8042::I8042(vm::IrqLine& keyboard_irq, vm::IrqLine& aux_irq, vm::PowerControl& power)
    : keyboard_irq_(keyboard_irq), aux_irq_(aux_irq), power_(power) {
  reset();
}

u8 I8042::Port::read_register(u16 offset) {
  if (offset != 0) return 0xFF;
  return which_ == i8042::Port::Data ? chip_.read_data() : chip_.read_status();
}

void I8042::Port::write_register(u16 offset, u8 value) {
  if (offset != 0) return;
  const bool reset = which_ == i8042::Port::Data ? chip_.write_data(value) : chip_.write_command(value);
  if (reset) chip_.power_.request(vm::PowerControl::Request::Reset);
}

bool I8042::a20() const {
  const std::lock_guard lock(mutex_);
  return (s_.output_port & output::A20) != 0;
}

u8 I8042::read_data() {
  const std::lock_guard lock(mutex_);
  s_.output_full = false;
  update_irqs();
  return s_.output_byte;
}

u8 I8042::read_status() const {
  const std::lock_guard lock(mutex_);
  u8 value = status::NotLocked;
  if (s_.output_full) value |= status::OutputFull;
  if (s_.output_full && s_.output_from_aux) value |= status::AuxOutputFull;
  if (s_.system_flag) value |= status::SystemFlag;
  if (s_.last_was_command) value |= status::LastWasCommand;
  return value;
}

// Both give whether the processor is to be reset.
bool I8042::write_data(u8 value) {
  const std::lock_guard lock(mutex_);
  s_.last_was_command = false;
  const u8 waiting = s_.waiting_command;
  s_.waiting_command = 0;
  if ((waiting & 0xE0) == raw(Command::WriteRam)) {
    s_.ram[waiting & 0x1F] = value;
    if ((waiting & 0x1F) == 0) {
      config() &= config::kDefined;
      s_.system_flag = (value & config::SystemFlag) != 0;
      update_irqs();
    }
    return false;
  }
  switch (static_cast<Command>(waiting)) {
    case Command::WriteOutputPort:
      return set_output_port(value);
    case Command::WriteKeyboardOutput:
      answer(value);
      break;
    case Command::WriteAuxOutput:
      answer(value, true);
      break;
    default:
      break;  // to the keyboard or the mouse, which are not there
  }
  return false;
}

bool I8042::write_command(u8 value) {
  const std::lock_guard lock(mutex_);
  s_.last_was_command = true;
  s_.waiting_command = 0;
  if ((value & 0xE0) == raw(Command::ReadRam)) {
    answer(s_.ram[value & 0x1F]);
    return false;
  }
  if ((value & 0xE0) == raw(Command::WriteRam)) {
    s_.waiting_command = value;
    return false;
  }
  // Only the reset output is worth pulsing.
  if ((value & 0xF0) == raw(Command::PulseOutput)) return (value & output::NotReset) == 0;
  switch (static_cast<Command>(value)) {
    case Command::PasswordTest:
      answer(kNoPassword);
      break;
    case Command::AuxDisable:
      config() |= config::AuxOff;
      break;
    case Command::AuxEnable:
      config() &= static_cast<u8>(~config::AuxOff);
      break;
    case Command::AuxTest:
    case Command::KeyboardTest:
      answer(kPortTestPassed);
      break;
    case Command::SelfTest:
      config() |= config::KeyboardOff | config::AuxOff;
      s_.system_flag = true;
      answer(kSelfTestPassed);
      break;
    case Command::KeyboardDisable:
      config() |= config::KeyboardOff;
      break;
    case Command::KeyboardEnable:
      config() &= static_cast<u8>(~config::KeyboardOff);
      break;
    case Command::ReadInputPort:
      answer(kInputPort);
      break;
    case Command::ReadOutputPort: {
      u8 port = s_.output_port;
      if (s_.output_full) port |= s_.output_from_aux ? output::AuxFull : output::KeyboardFull;
      answer(port);
      break;
    }
    case Command::ReadTestInputs:
      answer(0);
      break;
    case Command::DisableA20:
      s_.output_port &= static_cast<u8>(~output::A20);
      break;
    case Command::EnableA20:
      s_.output_port |= output::A20;
      break;
    case Command::WriteOutputPort:
    case Command::WriteKeyboardOutput:
    case Command::WriteAuxOutput:
    case Command::WriteAux:
      s_.waiting_command = value;
      break;
    default:
      break;
  }
  return false;
}

void I8042::answer(u8 value, bool from_aux) {
  s_.output_byte = value;
  s_.output_full = true;
  s_.output_from_aux = from_aux;
  update_irqs();
}

bool I8042::set_output_port(u8 value) {
  s_.output_port = (value & output::kWritable) | output::NotReset;
  return (value & output::NotReset) == 0;
}

void I8042::update_irqs() {
  keyboard_irq_.set(s_.output_full && !s_.output_from_aux && (config() & config::KeyboardInterrupt) != 0);
  aux_irq_.set(s_.output_full && s_.output_from_aux && (config() & config::AuxInterrupt) != 0);
}

void I8042::reset() {
  const std::lock_guard lock(mutex_);
  s_ = State{};
  // As firmware leaves it after the self test: both ports off until a driver enables them, scan codes translated.
  config() = config::SystemFlag | config::Translate | config::KeyboardOff | config::AuxOff;
  s_.system_flag = true;
  s_.output_port = output::NotReset | output::A20;
  update_irqs();
}

vm::StateRecord I8042::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("i8042", s_);
}

Result<> I8042::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  if ((state.ram[0] & ~config::kDefined) != 0 || (state.output_port & ~output::kWritable) != 0) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt: impossible register value", record.name);
  }
  const std::lock_guard lock(mutex_);
  s_ = state;
  update_irqs();
  return {};
}

}  // namespace vireo::dev
