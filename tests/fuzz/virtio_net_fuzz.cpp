#include "support/fake_backend.h"
#include "virtio/net/net.h"
#include "virtio_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  if (size < 1) return 0;
  test::FakeBackend backend(1 + (data[0] & 1));
  const bool with_mtu = (data[0] & 2) != 0;
  const auto make = [&] {
    return std::make_unique<virtio::Net>(virtio::Net::Setup{
        .backend = backend, .mac = {2, 0, 0, 0, 0, 1}, .mtu = with_mtu ? std::optional<u16>(1500) : std::nullopt});
  };
  fuzz::play({data + 1, size - 1}, make, [&](u8 byte) {
    backend.sent.clear();
    backend.room = byte & 7;
    switch (byte >> 6) {
      case 0:
        backend.port().serve();
        break;
      case 1:
        backend.up = (byte & 8) != 0;
        backend.port().link_changed(backend.up);
        break;
      default: {
        std::vector<u8> frame(14 + (byte & 0x3Fu) * ((byte & 1) != 0 ? 1040u : 20u), byte);
        backend.deliver(std::move(frame), {}, byte >> 1 & 1);
      }
    }
  });
  return 0;
}
