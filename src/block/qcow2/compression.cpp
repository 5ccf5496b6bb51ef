#include "block/qcow2/compression.h"

#include <zlib.h>
#include <zstd.h>

#include <memory>

namespace vireo::block::qcow2 {
namespace {

constexpr int kWindowBits = -12;  // raw deflate
constexpr int kMemoryLevel = 9;

std::optional<std::size_t> deflate_into(std::span<u8> to, std::span<const u8> from) {
  z_stream stream{};
  if (::deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kWindowBits, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    return std::nullopt;
  }
  stream.next_in = const_cast<u8*>(from.data());
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = to.data();
  stream.avail_out = static_cast<uInt>(to.size());
  const int result = ::deflate(&stream, Z_FINISH);
  const auto size = to.size() - stream.avail_out;
  ::deflateEnd(&stream);
  if (result != Z_STREAM_END) return std::nullopt;
  return size;
}

bool inflate_into(std::span<u8> to, std::span<const u8> from) {
  z_stream stream{};
  if (::inflateInit2(&stream, kWindowBits) != Z_OK) return false;
  stream.next_in = const_cast<u8*>(from.data());
  stream.avail_in = static_cast<uInt>(from.size());
  stream.next_out = to.data();
  stream.avail_out = static_cast<uInt>(to.size());
  const int result = ::inflate(&stream, Z_FINISH);
  ::inflateEnd(&stream);
  // A stream that would go on (Z_BUF_ERROR) has filled the cluster as well.
  return (result == Z_STREAM_END || result == Z_BUF_ERROR) && stream.avail_out == 0;
}

bool zstd_into(std::span<u8> to, std::span<const u8> from) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&::ZSTD_freeDCtx)> context(::ZSTD_createDCtx(), &::ZSTD_freeDCtx);
  if (!context) return false;
  ZSTD_inBuffer input{from.data(), from.size(), 0};
  ZSTD_outBuffer output{to.data(), to.size(), 0};
  while (output.pos < output.size) {
    const auto in = input.pos, out = output.pos;
    const std::size_t result = ::ZSTD_decompressStream(context.get(), &output, &input);
    if (::ZSTD_isError(result) != 0) return false;
    if (in == input.pos && out == output.pos) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<u8>> compress(Compression how, std::span<const u8> cluster) {
  std::vector<u8> bytes(cluster.size() - 1);
  if (how == Compression::Zlib) {
    const auto size = deflate_into(bytes, cluster);
    if (!size) return std::nullopt;
    bytes.resize(*size);
    return bytes;
  }
  const std::size_t size =
      ::ZSTD_compress(bytes.data(), bytes.size(), cluster.data(), cluster.size(), ZSTD_CLEVEL_DEFAULT);
  if (::ZSTD_isError(size) != 0) return std::nullopt;
  bytes.resize(size);
  return bytes;
}

bool decompress(Compression how, std::span<const u8> from, std::span<u8> cluster) {
  return how == Compression::Zlib ? inflate_into(cluster, from) : zstd_into(cluster, from);
}

}  // namespace vireo::block::qcow2
