#include "dev/uart16550/uart16550.h"

#include <algorithm>

namespace vireo::dev {
using namespace uart16550;

namespace {
// With four character times at 50 baud nobody would want to type.
constexpr u64 kLongestTimeoutNs = 5'000'000;
}  // namespace

Uart16550::Uart16550(std::string name, vm::IrqLine& irq, vm::Clock& clock, chardev::ByteChannel& channel)
    : name_(std::move(name)),
      irq_(irq),
      clock_(clock),
      channel_(channel),
      timeout_(clock.make_timer([this] { character_timeout(); })) {
  channel_.set_sink(this);
}

Uart16550::~Uart16550() { channel_.set_sink(nullptr); }

// ---- Registers

u8 Uart16550::read_register(u16 offset) {
  u8 value = 0xFF;
  bool resume = false;
  {
    const std::lock_guard lock(mutex_);
    const bool dlab = (s_.lcr & lcr::DLAB) != 0;
    switch (static_cast<Reg>(offset)) {
      case Reg::RBR:
        value = dlab ? static_cast<u8>(s_.divisor) : read_rbr();
        break;
      case Reg::IER:
        value = dlab ? static_cast<u8>(s_.divisor >> 8) : s_.ier;
        break;
      case Reg::IIR:
        value = read_iir();
        break;
      case Reg::LCR:
        value = s_.lcr;
        break;
      case Reg::MCR:
        value = s_.mcr;
        break;
      case Reg::LSR:
        value = read_lsr();
        break;
      case Reg::MSR:
        value = read_msr();
        break;
      case Reg::SCR:
        value = s_.scr;
        break;
    }
    resume = wants_input();
  }
  if (resume) channel_.resume_input();
  return value;
}

void Uart16550::write_register(u16 offset, u8 value) {
  std::optional<u8> send;
  bool resume = false;
  u64 ready_count = 0;
  {
    const std::lock_guard lock(mutex_);
    const bool dlab = (s_.lcr & lcr::DLAB) != 0;
    switch (static_cast<Reg>(offset)) {
      case Reg::THR:
        if (dlab) {
          s_.divisor = static_cast<u16>((s_.divisor & 0xFF00) | value);
        } else {
          send = write_thr(value);
        }
        break;
      case Reg::IER:
        if (dlab) {
          s_.divisor = static_cast<u16>((s_.divisor & 0x00FF) | value << 8);
        } else {
          write_ier(value);
        }
        break;
      case Reg::FCR:
        write_fcr(value);
        break;
      case Reg::LCR:
        s_.lcr = value;
        break;  // a break has nowhere to go
      case Reg::MCR:
        write_mcr(value);
        break;
      case Reg::LSR:
      case Reg::MSR:
        break;
      case Reg::SCR:
        s_.scr = value;
        break;
    }
    resume = wants_input();
    ready_count = ready_count_;
  }
  if (resume) channel_.resume_input();
  if (!send || channel_.write({&*send, 1})) return;
  const std::lock_guard lock(mutex_);
  if (ready_count_ != ready_count) return;  // there is space again already
  held_back_ = true;
  s_.thre_pending = false;
  update_irq();
}

u8 Uart16550::read_rbr() {
  if (s_.received == 0) return 0;
  const u8 byte = s_.fifo[0];
  std::copy(s_.fifo.begin() + 1, s_.fifo.end(), s_.fifo.begin());
  --s_.received;
  s_.timeout_pending = false;
  if (s_.break_at < kFifoSize) --s_.break_at;  // it was not at 0: such a one is shown at once
  move_held();
  data_changed();
  return byte;
}

u8 Uart16550::read_iir() {
  const u8 id = interrupt_id();
  if (id == iir::TransmitterEmpty) {
    s_.thre_pending = false;
    update_irq();
  }
  return id | (fifos() ? iir::kFifosEnabled : 0);
}

u8 Uart16550::read_lsr() {
  u8 value = s_.line_errors;
  if (s_.received > 0) value |= lsr::DR;
  if (transmitter_empty()) value |= lsr::THRE | lsr::TEMT;
  const bool error_in_fifo = (s_.line_errors & (lsr::PE | lsr::FE | lsr::BI)) != 0 || s_.break_at < kFifoSize;
  if (fifos() && error_in_fifo) value |= lsr::FifoError;
  if (s_.line_errors != 0) {
    s_.line_errors = 0;
    update_irq();
  }
  return value;
}

u8 Uart16550::read_msr() {
  const u8 value = modem_lines(s_.mcr) | s_.modem_deltas;
  if (s_.modem_deltas != 0) {
    s_.modem_deltas = 0;
    update_irq();
  }
  return value;
}

void Uart16550::write_ier(u8 value) {
  value &= ier::kDefined;
  // Enabling the interrupt while the transmitter is empty raises it (8.6: "indicates THRE").
  if ((value & ~s_.ier & ier::ETBEI) != 0 && transmitter_empty()) s_.thre_pending = true;
  s_.ier = value;
  move_held();
  data_changed();
}

void Uart16550::write_fcr(u8 value) {
  // Either change of the mode empties both FIFOs; the other bits count only together with Enable (8.5).
  const bool mode_changes = ((value ^ s_.fcr) & fcr::Enable) != 0;
  if (mode_changes || (value & fcr::ResetReceiver) != 0) drop_received();
  s_.fcr = (value & fcr::Enable) != 0 ? value & 0xC9 : 0;
  move_held();
  data_changed();
}

void Uart16550::write_mcr(u8 value) {
  value &= mcr::kDefined;
  const u8 before = modem_lines(s_.mcr), after = modem_lines(value);
  s_.modem_deltas |= static_cast<u8>((before ^ after) >> 4) & (msr::DCTS | msr::DDSR | msr::DDCD);
  if ((before & ~after & msr::RI) != 0) s_.modem_deltas |= msr::TERI;
  if (((value ^ s_.mcr) & mcr::Loop) != 0) {
    // The receiver moves to another wire. What came from the line waits outside; what was looped back is forgotten.
    drop_received();
  }
  s_.mcr = value;
  s_.modem_written = true;
  move_held();
  data_changed();
}

// Gives the byte that is to be sent, if any.
std::optional<u8> Uart16550::write_thr(u8 value) {
  std::optional<u8> send;
  if ((s_.mcr & mcr::Loop) != 0) {
    push(value);
    data_changed();
  } else {
    send = value;
  }
  s_.thre_pending = transmitter_empty();  // gone to the line, or looped back, already
  update_irq();
  return send;
}

// ---- Receiver

bool Uart16550::fifos() const { return (s_.fcr & fcr::Enable) != 0; }
unsigned Uart16550::capacity() const { return fifos() ? kFifoSize : 1; }

bool Uart16550::listening() const {
  if ((s_.mcr & mcr::Loop) != 0) return false;
  return (s_.mcr & mcr::RTS) != 0 || (s_.ier & ier::ERBFI) != 0 || !s_.modem_written;
}

void Uart16550::push(u8 byte) {
  if (s_.received == capacity()) {
    s_.line_errors |= lsr::OE;
    if (!fifos()) s_.fifo[0] = byte;
    return;
  }
  s_.fifo[s_.received++] = byte;
}

// The FIFO is emptied. Bytes from the line go back to where they wait, in front of those that wait already.
void Uart16550::drop_received() {
  if ((s_.mcr & mcr::Loop) == 0) {
    const unsigned kept = std::min<unsigned>(s_.held, kFifoSize - s_.received);
    std::copy_backward(s_.hold.begin(), s_.hold.begin() + kept, s_.hold.begin() + kept + s_.received);
    std::copy_n(s_.fifo.begin(), s_.received, s_.hold.begin());
    s_.held = static_cast<u8>(s_.received + kept);
  }
  s_.received = 0;
  s_.break_at = kFifoSize;
  s_.timeout_pending = false;
}

void Uart16550::move_held() {
  if (s_.held == 0 || !listening()) return;
  const unsigned count = std::min<unsigned>(s_.held, capacity() - s_.received);
  for (unsigned i = 0; i < count; ++i) push(s_.hold[i]);
  std::copy(s_.hold.begin() + count, s_.hold.end(), s_.hold.begin());
  s_.held = static_cast<u8>(s_.held - count);
}

// After every change of what the receiver holds or of who listens.
void Uart16550::data_changed() {
  if (s_.break_at == 0) {
    s_.line_errors |= lsr::BI;
    s_.break_at = kFifoSize;
  }
  const unsigned trigger = fcr::kTrigger[s_.fcr >> fcr::kTriggerShift];
  if (fifos() && s_.received > 0 && s_.received < trigger && !s_.timeout_pending) {
    // Four character times without a byte coming or going (8.4, FIFO interrupt mode operation).
    const u64 bits = 1 + 5 + (s_.lcr & lcr::WLS) + ((s_.lcr & lcr::PEN) != 0 ? 1 : 0) + 1;
    const u64 ns = 4 * bits * std::max<u64>(s_.divisor, 1) * 1'000'000'000 / kBaudBase;
    timeout_->arm(clock_.now_ns() + std::min(ns, kLongestTimeoutNs));
  }
  update_irq();
}

void Uart16550::character_timeout() {
  const std::lock_guard lock(mutex_);
  if (!fifos() || s_.received == 0) return;
  s_.timeout_pending = true;
  update_irq();
}

// ---- Interrupts and modem lines

u8 Uart16550::interrupt_id() const {
  if ((s_.ier & ier::ELSI) != 0 && s_.line_errors != 0) return iir::LineStatus;
  if ((s_.ier & ier::ERBFI) != 0 && s_.received > 0) {
    if (!fifos() || s_.received >= fcr::kTrigger[s_.fcr >> fcr::kTriggerShift]) return iir::DataAvailable;
    if (s_.timeout_pending) return iir::CharacterTimeout;
  }
  if ((s_.ier & ier::ETBEI) != 0 && s_.thre_pending) return iir::TransmitterEmpty;
  if ((s_.ier & ier::EDSSI) != 0 && s_.modem_deltas != 0) return iir::ModemStatus;
  return iir::None;
}

// The PC gates the line by OUT2. Many small systems never set it, and other virtual machines do not ask for it either.
void Uart16550::update_irq() {
  const bool level = interrupt_id() != iir::None;
  if (level != irq_level_) irq_.set(level);  // every byte comes by here: do not trouble the controllers for nothing
  irq_level_ = level;
}

// The far end is always there and ready; in loop-back the outputs are the inputs (8.8).
u8 Uart16550::modem_lines(u8 mcr) const {
  if ((mcr & mcr::Loop) == 0) return msr::CTS | msr::DSR | msr::DCD;
  u8 lines = 0;
  if ((mcr & mcr::RTS) != 0) lines |= msr::CTS;
  if ((mcr & mcr::DTR) != 0) lines |= msr::DSR;
  if ((mcr & mcr::OUT1) != 0) lines |= msr::RI;
  if ((mcr & mcr::OUT2) != 0) lines |= msr::DCD;
  return lines;
}

// ---- The byte channel

std::size_t Uart16550::room() {
  const std::lock_guard lock(mutex_);
  const std::size_t room = listening() && s_.held == 0 ? capacity() - s_.received : 0;
  starved_ = room == 0;
  return room;
}

// Taken (and forgotten): the channel waits to be told, and the FIFO is empty, so that it is worth telling.
bool Uart16550::wants_input() {
  if (!starved_ || !listening() || s_.held != 0 || s_.received != 0) return false;
  starved_ = false;
  return true;
}

void Uart16550::receive(std::span<const u8> bytes) {
  const std::lock_guard lock(mutex_);
  for (const u8 byte : bytes) {
    // The guest may have stopped listening since room().
    if (listening() && s_.held == 0 && s_.received < capacity()) {
      push(byte);
    } else if (s_.held < kFifoSize) {
      s_.hold[s_.held++] = byte;
    } else {
      s_.line_errors |= lsr::OE;  // more than room() said
    }
  }
  s_.timeout_pending = false;
  data_changed();
}

void Uart16550::output_ready() {
  const std::lock_guard lock(mutex_);
  ++ready_count_;
  if (!held_back_) return;
  held_back_ = false;
  s_.thre_pending = true;
  update_irq();
}

void Uart16550::receive_break() {
  const std::lock_guard lock(mutex_);
  if ((s_.mcr & mcr::Loop) != 0) return;
  if (s_.received < capacity()) s_.break_at = s_.received;
  push(0);
  data_changed();
}

// ---- State

void Uart16550::reset() {
  {
    const std::lock_guard lock(mutex_);
    drop_received();
    State fresh;
    fresh.held = s_.held;
    fresh.hold = s_.hold;
    s_ = fresh;
    held_back_ = false;
    timeout_->cancel();
    move_held();
    data_changed();
    irq_.set(irq_level_);  // whatever the controller believes
  }
  channel_.resume_input();
}

vm::StateRecord Uart16550::save() const {
  const std::lock_guard lock(mutex_);
  State state = s_;
  if (held_back_) state.thre_pending = true;  // the program that restores has an empty channel
  return vm::save_fields(name_, state);
}

Result<> Uart16550::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  const bool fifo_mode = (state.fcr & fcr::Enable) != 0;
  if ((state.ier & ~ier::kDefined) != 0 || (state.fcr & ~0xC9) != 0 || (!fifo_mode && state.fcr != 0) ||
      (state.mcr & ~mcr::kDefined) != 0 || (state.line_errors & ~(lsr::OE | lsr::PE | lsr::FE | lsr::BI)) != 0 ||
      (state.modem_deltas & ~msr::kDeltas) != 0 || state.received > (fifo_mode ? kFifoSize : 1) ||
      state.held > kFifoSize || (state.break_at != kFifoSize && state.break_at >= state.received)) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt: impossible register value", record.name);
  }
  {
    const std::lock_guard lock(mutex_);
    s_ = state;
    held_back_ = false;
    timeout_->cancel();
    data_changed();
    irq_.set(irq_level_);
  }
  channel_.resume_input();
  return {};
}

}  // namespace vireo::dev
