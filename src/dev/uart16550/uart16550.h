// A PC16550D serial port with 16-byte FIFOs, wired to a byte channel.
//
// The line has no speed: a byte written is sent at once, so the transmitter is empty again immediately, unless the
// channel asks to hold back; then THRE stays clear until it has space, as with a slow modem.
//
// Input is never lost. The far end honours RTS: bytes are taken from the channel only into free places of the FIFO, and
// only while the guest listens (RTS, or receive interrupts on, or MCR never touched, for programs that do not care).
// Bytes that a driver throws away unread with a FIFO reset when it opens the port count as not sent yet, and come
// again.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "chardev/api/channel.h"
#include "dev/isa/byte_device.h"
#include "dev/uart16550/state.h"
#include "vm/clock/clock.h"

namespace vireo::dev {

class Uart16550 final : public ByteDevice, public vm::Stateful, public chardev::ByteSink {
 public:
  static constexpr u16 kPorts = uart16550::kPorts;

  /// References outlive the device. `name` names its saved state.
  Uart16550(std::string name, vm::IrqLine& irq, vm::Clock& clock, chardev::ByteChannel& channel);
  ~Uart16550() override;

  /// A break from the far end: a zero byte with BI. Any thread.
  void receive_break();

  // vm::Stateful
  void reset() override;
  vm::StateRecord save() const override;
  Result<> load(const vm::StateRecord& record) override;

  // chardev::ByteSink
  std::size_t room() override;
  void receive(std::span<const u8> bytes) override;
  void output_ready() override;

 protected:
  u8 read_register(u16 offset) override;
  void write_register(u16 offset, u8 value) override;

 private:
  using State = uart16550::State;

  // The registers with a side effect. The mutex is held.
  u8 read_rbr();
  u8 read_iir();
  u8 read_lsr();
  u8 read_msr();
  void write_ier(u8 value);
  void write_fcr(u8 value);
  void write_mcr(u8 value);
  std::optional<u8> write_thr(u8 value);

  bool fifos() const;
  unsigned capacity() const;
  bool listening() const;
  bool transmitter_empty() const { return !held_back_; }
  u8 interrupt_id() const;
  u8 modem_lines(u8 mcr) const;
  void push(u8 byte);
  void drop_received();
  void move_held();
  void data_changed();
  void character_timeout();
  void update_irq();
  bool wants_input();

  const std::string name_;
  vm::IrqLine& irq_;
  vm::Clock& clock_;
  chardev::ByteChannel& channel_;

  mutable std::mutex mutex_;
  State s_;

  // Glue: nothing the guest put there.
  bool irq_level_ = false;
  bool held_back_ = false;  ///< the channel wants no more output
  u64 ready_count_ = 0;     ///< calls of output_ready()
  bool starved_ = false;    ///< room() was 0: the channel waits for resume_input()
  std::unique_ptr<vm::Timer> timeout_;
};

}  // namespace vireo::dev
