#include "dev/uart16550/uart16550.h"

#include "device_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::FakeClock clock;
  test::FakeLine irq;
  test::FakeChannel channel;
  dev::Uart16550 chip("uart0", irq, clock, channel);
  const fuzz::Ports ports[] = {{&chip, dev::Uart16550::kPorts}};
  fuzz::play({data, size}, chip, clock, ports, [&](u8 byte) {
    channel.stuck = (byte & 1) != 0;
    if ((byte & 2) != 0) chip.receive_break();
    if ((byte & 4) != 0) chip.output_ready();
    if ((byte & 8) != 0) channel.type("the quick brown fox jumps over the lazy dog");
  });
  return 0;
}
