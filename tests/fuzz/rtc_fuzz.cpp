#include "dev/rtc/rtc.h"

#include "device_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::FakeClock clock;
  clock.wall_at_zero = 1'700'000'000'000'000'000;
  test::FakeLine irq;
  dev::Rtc chip(irq, clock);
  const fuzz::Ports ports[] = {{&chip, dev::Rtc::kPorts}};
  fuzz::play({data, size}, chip, clock, ports, [&](u8 byte) {
    // Somebody sets the host's clock.
    clock.wall_at_zero += (u64{byte} << 40) - (u64{128} << 40);
    if ((byte & 7) == 0) chip.set_byte(byte, byte);
  });
  return 0;
}
