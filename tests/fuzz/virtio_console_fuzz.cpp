#include "virtio/console/console.h"
#include "virtio_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::FakeChannel first, second;
  fuzz::play(
      {data, size},
      [&] {
        return std::make_unique<virtio::Console>(std::vector<virtio::ConsolePort>{
            {.channel = &first, .name = {}, .console = true}, {.channel = &second, .name = "agent", .console = false}});
      },
      [&](u8 byte) {
        first.stuck = (byte & 1) != 0;
        if (!first.stuck) first.sink->output_ready();
        second.type(std::string(byte * 30u, 'x'));
      });
  return 0;
}
