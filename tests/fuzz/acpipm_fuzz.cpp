#include "dev/acpipm/acpipm.h"

#include "device_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::FakeClock clock;
  test::FakeLine sci;
  test::FakePower power;
  dev::AcpiPm chip(sci, clock, power, size % 2 == 0 ? 24 : 32);
  const fuzz::Ports ports[] = {{&chip, dev::AcpiPm::kPorts}};
  fuzz::play({data, size}, chip, clock, ports, [&](u8 byte) {
    chip.raise_gpe(byte);
    if (byte == 0) chip.press_power_button();
  });
  return 0;
}
