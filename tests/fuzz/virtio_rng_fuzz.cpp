#include "virtio/rng/rng.h"
#include "virtio_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  const auto fill = [](std::span<u8> to) { std::ranges::fill(to, u8{0xA5}); };
  fuzz::play({data, size}, [&] { return std::make_unique<virtio::Rng>(fill); }, [](u8) {});
  return 0;
}
