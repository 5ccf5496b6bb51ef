#include "dev/uart16550/uart16550.h"

#include <gtest/gtest.h>

#include "unit/dev/fakes.h"

namespace vireo::dev {
namespace {

using namespace uart16550;

class Uart : public testing::Test {
 protected:
  u8 in(Reg reg) { return static_cast<u8>(uart.port_read(static_cast<u16>(reg), 1)); }
  void out(Reg reg, u8 value) { uart.port_write(static_cast<u16>(reg), 1, value); }
  // What Linux's serial8250_do_startup and uart_port_startup do, in their order.
  void open_as_linux() {
    out(Reg::FCR, fcr::Enable);
    out(Reg::FCR, fcr::Enable | fcr::ResetReceiver | fcr::ResetTransmitter);
    out(Reg::FCR, 0);
    in(Reg::LSR);
    in(Reg::RBR);
    in(Reg::IIR);
    in(Reg::MSR);
    out(Reg::LCR, 3);
    out(Reg::MCR, mcr::OUT2);
    in(Reg::LSR);
    in(Reg::RBR);
    out(Reg::IER, ier::ERBFI | ier::ELSI);
    out(Reg::FCR, fcr::Enable);
    out(Reg::FCR, 0x81);
    out(Reg::MCR, mcr::OUT2 | mcr::DTR | mcr::RTS);
  }
  std::string read_all() {
    std::string text;
    while ((in(Reg::LSR)&lsr::DR) != 0) text += static_cast<char>(in(Reg::RBR));
    return text;
  }

  test::FakeClock clock;
  test::FakeLine irq;
  test::FakeChannel channel;
  Uart16550 uart{"uart0", irq, clock, channel};
};

TEST_F(Uart, SendsWhatIsWrittenAndIsEmptyAtOnce) {
  for (const char c : std::string("hello")) out(Reg::THR, static_cast<u8>(c));
  EXPECT_EQ(channel.sent, "hello");
  EXPECT_EQ(in(Reg::LSR), lsr::THRE | lsr::TEMT);
}

TEST_F(Uart, LooksLikeA16550AToLinux) {
  // drivers/tty/serial/8250/8250_port.c, autoconfig()
  out(Reg::IER, 0);
  EXPECT_EQ(in(Reg::IER) & 0x0F, 0);
  out(Reg::IER, 0x0F);
  EXPECT_EQ(in(Reg::IER) & 0x0F, 0x0F);
  out(Reg::IER, 0);
  out(Reg::MCR, mcr::Loop | mcr::OUT2 | mcr::RTS);
  EXPECT_EQ(in(Reg::MSR) & 0xF0, 0x90);
  out(Reg::MCR, 0);
  out(Reg::FCR, fcr::Enable);
  EXPECT_EQ(in(Reg::IIR) >> 6, 3);
  out(Reg::FCR, fcr::Enable | 0x20);  // a 16750 would show its 64-byte FIFO
  EXPECT_EQ(in(Reg::IIR) >> 5, 6);
  out(Reg::LCR, lcr::DLAB);
  out(Reg::FCR, fcr::Enable | 0x20);
  EXPECT_EQ(in(Reg::IIR) >> 5, 6);
  out(Reg::LCR, 0);
  out(Reg::IER, 0x40);  // an XScale would keep it
  EXPECT_EQ(in(Reg::IER), 0);
}

TEST_F(Uart, DivisorLatchIsBehindDlab) {
  out(Reg::LCR, lcr::DLAB);
  out(Reg::DLL, 0x34);
  out(Reg::DLM, 0x12);
  EXPECT_EQ(in(Reg::DLL), 0x34);
  EXPECT_EQ(in(Reg::DLM), 0x12);
  out(Reg::LCR, 3);
  EXPECT_EQ(in(Reg::IER), 0);
  EXPECT_EQ(channel.sent, "");
  out(Reg::SCR, 0x5A);
  EXPECT_EQ(in(Reg::SCR), 0x5A);
}

TEST_F(Uart, RaisesTheTransmitterInterruptWhenItIsEnabledAndAfterEachByte) {
  out(Reg::IER, ier::ETBEI);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(Reg::IIR), iir::TransmitterEmpty);
  EXPECT_FALSE(irq.level) << "reading IIR takes it";
  EXPECT_EQ(in(Reg::IIR), iir::None);
  out(Reg::THR, 'x');
  EXPECT_TRUE(irq.level);
  out(Reg::IER, 0);
  EXPECT_FALSE(irq.level);
  out(Reg::IER, ier::ETBEI);
  EXPECT_EQ(in(Reg::IIR), iir::TransmitterEmpty) << "Linux's test for UART_BUG_THRE";
}

TEST_F(Uart, InterruptsAtTheTriggerLevelAndAfterAPause) {
  open_as_linux();  // trigger level 8
  channel.type("1234567");
  EXPECT_FALSE(irq.level);
  channel.type("8");
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(Reg::IIR) & 0x0F, iir::DataAvailable);
  EXPECT_EQ(in(Reg::RBR), '1');
  EXPECT_FALSE(irq.level);
  clock.advance(10'000'000);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(Reg::IIR) & 0x0F, iir::CharacterTimeout);
  EXPECT_EQ(read_all(), "2345678");
  EXPECT_FALSE(irq.level);
  clock.advance(10'000'000);
  EXPECT_FALSE(irq.level);
}

TEST_F(Uart, TheTimeoutIsFourCharacterTimes) {
  open_as_linux();
  out(Reg::LCR, lcr::DLAB);
  out(Reg::DLL, 1);
  out(Reg::DLM, 0);
  out(Reg::LCR, 3);
  channel.type("a");
  clock.advance(4 * 10 * 1'000'000'000ULL / 115200 - 1000);
  EXPECT_FALSE(irq.level);
  clock.advance(2000);
  EXPECT_TRUE(irq.level);
}

TEST_F(Uart, WithoutFifosEveryByteInterrupts) {
  out(Reg::MCR, mcr::RTS);
  out(Reg::IER, ier::ERBFI);
  channel.type("ab");
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(Reg::IIR), iir::DataAvailable);
  EXPECT_EQ(channel.waiting.size(), 1U);
  EXPECT_EQ(in(Reg::RBR), 'a');
  EXPECT_EQ(in(Reg::RBR), 'b');
  EXPECT_FALSE(irq.level);
}

TEST_F(Uart, TakesInputOnlyAsFastAsItIsRead) {
  open_as_linux();
  std::string text(1000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i % 26);
  channel.type(text);
  EXPECT_EQ(channel.waiting.size(), text.size() - kFifoSize);
  EXPECT_EQ(read_all(), text);
  EXPECT_EQ(in(Reg::LSR)&lsr::OE, 0);
}

TEST_F(Uart, NoInputIsLostThatComesBeforeThePortIsOpened) {
  channel.type("echo one two three four five\n");
  // Early console: it sets RTS and writes; then the driver probes, and opens.
  out(Reg::MCR, mcr::DTR | mcr::RTS);
  out(Reg::THR, '.');
  out(Reg::IER, 0x0F);
  out(Reg::IER, 0);
  out(Reg::MCR, mcr::Loop | mcr::OUT2 | mcr::RTS);
  out(Reg::MCR, 0);
  out(Reg::FCR, fcr::Enable);
  out(Reg::FCR, 0);
  open_as_linux();
  EXPECT_EQ(read_all(), "echo one two three four five\n");
}

TEST_F(Uart, AProgramThatNeverTouchesTheModemLinesGetsInput) {
  channel.type("hi");
  EXPECT_EQ(read_all(), "hi");
}

TEST_F(Uart, WithReceiveInterruptsOnInputComesWithoutRts) {
  out(Reg::MCR, 0);
  channel.type("hi");
  EXPECT_EQ(in(Reg::LSR)&lsr::DR, 0);
  out(Reg::IER, ier::ERBFI);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(read_all(), "hi");
}

TEST_F(Uart, LoopbackReturnsBytesAndSixteenOfThemFit) {
  out(Reg::MCR, mcr::RTS);
  channel.type("real");
  // size_fifo() in 8250_port.c
  out(Reg::FCR, fcr::Enable | fcr::ResetReceiver | fcr::ResetTransmitter);
  out(Reg::MCR, mcr::Loop);
  for (unsigned i = 0; i < 256; ++i) out(Reg::THR, static_cast<u8>(i));
  EXPECT_EQ(in(Reg::LSR)&lsr::OE, lsr::OE);
  unsigned count = 0;
  for (; (in(Reg::LSR)&lsr::DR) != 0; ++count) EXPECT_EQ(in(Reg::RBR), count);
  EXPECT_EQ(count, 16U);
  EXPECT_EQ(channel.sent, "");
  out(Reg::MCR, mcr::RTS);
  EXPECT_EQ(read_all(), "real") << "the line's bytes waited outside";
}

TEST_F(Uart, ModemStatusShowsChangesOnce) {
  EXPECT_EQ(in(Reg::MSR), msr::CTS | msr::DSR | msr::DCD);
  out(Reg::IER, ier::EDSSI);
  out(Reg::MCR, mcr::Loop | mcr::OUT1);
  EXPECT_TRUE(irq.level);
  EXPECT_EQ(in(Reg::IIR), iir::ModemStatus);
  EXPECT_EQ(in(Reg::MSR), msr::RI | msr::DCTS | msr::DDSR | msr::DDCD);
  EXPECT_FALSE(irq.level);
  out(Reg::MCR, mcr::Loop);
  EXPECT_EQ(in(Reg::MSR), msr::TERI);
}

TEST_F(Uart, LineStatusIsTheMostUrgentInterrupt) {
  open_as_linux();
  out(Reg::IER, 0x0F);
  channel.type("12345678");
  uart.receive_break();
  EXPECT_EQ(in(Reg::IIR) & 0x0F, iir::DataAvailable) << "the break is not at the top of the FIFO yet";
  EXPECT_EQ(in(Reg::LSR) & (lsr::FifoError | lsr::BI), lsr::FifoError);
  for (int i = 0; i < 8; ++i) in(Reg::RBR);
  EXPECT_EQ(in(Reg::IIR) & 0x0F, iir::LineStatus);
  EXPECT_EQ(in(Reg::LSR)&lsr::BI, lsr::BI);
  EXPECT_EQ(in(Reg::LSR) & (lsr::BI | lsr::FifoError), 0);
  EXPECT_EQ(in(Reg::RBR), 0);
  EXPECT_EQ(in(Reg::IIR) & 0x0F, iir::TransmitterEmpty);
}

TEST_F(Uart, StaysBusyWhileTheChannelHoldsBack) {
  out(Reg::IER, ier::ETBEI);
  in(Reg::IIR);
  channel.stuck = true;
  out(Reg::THR, 'x');
  EXPECT_EQ(in(Reg::LSR) & (lsr::THRE | lsr::TEMT), 0);
  EXPECT_FALSE(irq.level);
  const vm::StateRecord saved = uart.save();
  channel.stuck = false;
  channel.sink->output_ready();
  EXPECT_EQ(in(Reg::LSR)&lsr::THRE, lsr::THRE);
  EXPECT_TRUE(irq.level);

  test::FakeChannel other_channel;
  test::FakeLine other_irq;
  Uart16550 other("uart0", other_irq, clock, other_channel);
  ASSERT_TRUE(other.load(saved));
  EXPECT_TRUE(other_irq.level) << "the restored guest must not wait for ever";
}

TEST_F(Uart, WideAccessesAreBytesSideBySide) {
  uart.port_write(static_cast<u16>(Reg::LCR), 2, 0x0203);
  EXPECT_EQ(uart.port_read(static_cast<u16>(Reg::LCR), 2), 0x0203U);
  EXPECT_EQ(uart.port_read(static_cast<u16>(Reg::SCR), 4) >> 8, 0xFFFFFFU) << "beyond the registers";
}

TEST_F(Uart, GoesOnFromASavedState) {
  open_as_linux();
  out(Reg::SCR, 0x77);
  channel.type("abcdefghijklmnopqrst");
  EXPECT_EQ(in(Reg::RBR), 'a');
  const vm::StateRecord saved = uart.save();
  EXPECT_EQ(saved.name, "uart0");

  test::FakeChannel other_channel;
  test::FakeLine other_irq;
  Uart16550 other("uart0", other_irq, clock, other_channel);
  ASSERT_TRUE(other.load(saved));
  EXPECT_TRUE(other_irq.level);
  std::string text;
  while ((other.port_read(5, 1) & lsr::DR) != 0) text += static_cast<char>(other.port_read(0, 1));
  EXPECT_EQ(text, "bcdefghijklmnop");
  EXPECT_EQ(other.port_read(7, 1), 0x77U);
}

TEST_F(Uart, RefusesACorruptState) {
  const vm::StateRecord good = uart.save();
  EXPECT_FALSE(uart.load(test::truncated(good)));
  for (std::size_t i = 0; i < good.bytes.size(); ++i) {
    vm::StateRecord bad = good;
    bad.bytes[i] = 0xFF;
    if (!uart.load(bad)) {
      EXPECT_EQ(uart.save().bytes, good.bytes) << i;
    }
    ASSERT_TRUE(uart.load(good));
  }
}

TEST_F(Uart, ResetKeepsInputThatNobodyRead) {
  open_as_linux();
  channel.type("still here");
  uart.reset();
  EXPECT_FALSE(irq.level);
  EXPECT_EQ(in(Reg::IER), 0);
  EXPECT_EQ(read_all(), "still here");
}

}  // namespace
}  // namespace vireo::dev
