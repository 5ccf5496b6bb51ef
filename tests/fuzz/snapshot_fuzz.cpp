// The state file is hostile: no stream may read or write out of bounds, hang or take more memory than a record's worth.
#include <algorithm>
#include <cstdlib>

#include "base/bytes.h"
#include "snapshot/contents.h"
#include "snapshot/crc32c.h"

using namespace vireo;

namespace {

class ByteSource final : public snapshot::Source {
 public:
  explicit ByteSource(std::span<const u8> bytes) : bytes_(bytes) {}
  Result<std::size_t> read(std::span<u8> to) override {
    const auto count = std::min(to.size(), bytes_.size());
    std::copy_n(bytes_.begin(), count, to.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }

 private:
  std::span<const u8> bytes_;
};

class NoSink final : public snapshot::Sink {
 public:
  Result<> write(std::span<const u8>) override { return {}; }
};

/// The input with every check sum put right, so that the fuzzer gets past them.
std::vector<u8> mended(std::span<const u8> input) {
  std::vector<u8> bytes(input.begin(), input.end());
  if (bytes.size() < 16) return bytes;
  store(bytes.data(), snapshot::kMagic);
  store(bytes.data() + 8, snapshot::kFormatVersion);
  store(bytes.data() + 12, snapshot::crc32c(0, std::span(bytes).first(12)));
  std::size_t at = 16;
  while (bytes.size() - at >= 12) {
    const std::size_t length = std::min<std::size_t>(load<u32>(bytes.data() + at + 4), bytes.size() - at - 12);
    store(bytes.data() + at + 4, static_cast<u32>(length));
    const auto head = std::span(bytes).subspan(at, 8), payload = std::span(bytes).subspan(at + 12, length);
    store(bytes.data() + at + 8, snapshot::crc32c(snapshot::crc32c(0, head), payload));
    at += 12 + length;
  }
  return bytes;
}

void restore(std::span<const u8> bytes) {
  ByteSource first(bytes);
  const auto contents = snapshot::examine(first);
  if (!contents || snapshot::ram_size(contents->machine) > 64 * kMiB) return;
  std::vector<vm::GuestMemory::Slot> slots;
  for (const auto& slot : contents->machine.slots) slots.push_back({slot.gpa, slot.size, slot.offset});
  auto memory = vm::GuestMemory::create(std::move(slots));
  if (!memory) std::abort();  // examine() accepted the slots
  ByteSource second(bytes), third(bytes);
  (void)snapshot::load_memory(second, *memory);
  NoSink sink;
  (void)snapshot::load_boot_file(third, snapshot::BootFile::Kernel, sink);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size > (1 << 20)) return 0;
  const std::span input(data, size);
  restore(input);
  restore(mended(input));
  return 0;
}
