#include "dev/pit/pit.h"

#include "device_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::FakeClock clock;
  test::FakeLine irq;
  dev::Pit chip(irq, clock);
  const fuzz::Ports ports[] = {{&chip, dev::Pit::kPorts}, {&chip.port61(), 1}};
  fuzz::play({data, size}, chip, clock, ports, [](u8) {});
  return 0;
}
