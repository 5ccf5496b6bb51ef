#include "snapshot/stream.h"

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "snapshot/crc32c.h"

namespace vireo::snapshot {
namespace {

constexpr std::size_t kFileHead = 16, kRecordHead = 12;

std::unexpected<Error> cut_off() {
  return fail(ErrorKind::Usage, "it is cut off: it ends before its end mark; save the machine again");
}
std::unexpected<Error> corrupt(std::string_view what) {
  return fail(ErrorKind::Usage, "it is corrupt: {}; save the machine again", what);
}

u32 record_crc(std::span<const u8> head, std::span<const u8> payload) {
  return crc32c(crc32c(0, head.first(8)), payload);
}

}  // namespace

Result<> Writer::begin() {
  std::array<u8, kFileHead> head{};
  store(head.data(), kMagic);
  store(head.data() + 8, kFormatVersion);
  store(head.data() + 12, crc32c(0, std::span(head).first(12)));
  return sink_.write(head);
}

Result<> Writer::put(RecordType type, std::span<const u8> payload) {
  if (payload.size() > kMaxPayload) {
    return fail(ErrorKind::Failed, "a record of type {} has {} bytes, more than a state file can hold in one",
                static_cast<u32>(type), payload.size());
  }
  std::array<u8, kRecordHead> head{};
  store(head.data(), static_cast<u32>(type));
  store(head.data() + 4, static_cast<u32>(payload.size()));
  store(head.data() + 8, record_crc(head, payload));
  TRY(sink_.write(head));
  ++records_;
  return sink_.write(payload);
}

Result<> Writer::end() {
  std::array<u8, 8> count{};
  store(count.data(), records_);
  return put(RecordType::End, count);
}

Result<> Reader::begin() {
  std::array<u8, kFileHead> head{};
  TRY_ASSIGN(const auto got, source_.read(head));
  if (got < 8 || load<u64>(head.data()) != kMagic) return fail(ErrorKind::Usage, "it is not a state file of vireo");
  if (got < kFileHead) return cut_off();
  if (load<u32>(head.data() + 12) != crc32c(0, std::span(head).first(12))) return corrupt("its head is damaged");
  const u32 version = load<u32>(head.data() + 8);
  if (version != kFormatVersion) {
    return fail(ErrorKind::Usage,
                "it has format {}, this program reads format {}; use the version of vireo that wrote it", version,
                kFormatVersion);
  }
  return {};
}

Result<Record> Reader::next() {
  std::array<u8, kRecordHead> head{};
  TRY_ASSIGN(const auto got, source_.read(head));
  if (got < kRecordHead) return cut_off();
  const u32 type = load<u32>(head.data()), length = load<u32>(head.data() + 4);
  if (type < 1 || type > static_cast<u32>(RecordType::End) || length > Writer::kMaxPayload) {
    return corrupt(fmt::format("the head of record {} is damaged", records_));
  }
  buffer_.resize(length);
  TRY_ASSIGN(const auto payload, source_.read(buffer_));
  if (payload < length) return cut_off();
  if (load<u32>(head.data() + 8) != record_crc(head, buffer_)) {
    return corrupt(fmt::format("the check sum of record {} is wrong", records_));
  }
  const Record record{static_cast<RecordType>(type), buffer_};
  if (record.type == RecordType::End) {
    u8 more = 0;
    TRY_ASSIGN(const auto rest, source_.read(std::span(&more, 1)));
    if (length != 8 || load<u64>(buffer_.data()) != records_ || rest != 0) return corrupt("its end mark does not fit");
  }
  ++records_;
  return record;
}

}  // namespace vireo::snapshot
