#include "dev/i8042/i8042.h"

#include "dev/resetctl/resetctl.h"
#include "device_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::FakeClock clock;
  test::FakeLine keyboard, aux;
  test::FakePower power;
  dev::I8042 chip(keyboard, aux, power);
  dev::ResetControl reset(power);
  const fuzz::Ports ports[] = {
      {&chip.data_port(), 1}, {&chip.command_port(), 1}, {&reset.port92(), 1}, {&reset.port_cf9(), 1}};
  fuzz::play({data, size}, chip, clock, ports, [&](u8) {
    if (!reset.load(reset.save())) std::abort();
  });
  return 0;
}
