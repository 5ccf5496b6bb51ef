#include "dev/fwcfg/fwcfg.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "base/bits.h"
#include "base/bytes.h"

namespace vireo::dev {
using namespace fwcfg;

namespace {

template <class T>
void put_be(ByteWriter& out, T value) {
  out.put(std::byteswap(value));
}

std::vector<u8> bytes_of(auto value) {
  ByteWriter out;
  out.put(value);
  return std::move(out.bytes());
}

}  // namespace

FwCfg::FwCfg(vm::GuestMemory& memory) : memory_(memory) {
  add(FW_CFG_SIGNATURE, std::vector<u8>{'Q', 'E', 'M', 'U'});
  add(FW_CFG_ID, bytes_of(FW_CFG_VERSION | FW_CFG_VERSION_DMA));
  update_directory();
}

void FwCfg::add(u16 key, std::vector<u8> bytes) { items_[key] = {.bytes = std::move(bytes), .make = {}}; }
void FwCfg::add(u16 key, u16 value) { add(key, bytes_of(value)); }

void FwCfg::add_file(const std::string& name, std::vector<u8> bytes) {
  assert(name.size() < kFileNameSize && !files_.contains(name));
  files_[name] = {.key = next_file_, .size = static_cast<u32>(bytes.size())};
  add(next_file_++, std::move(bytes));
  update_directory();
}

void FwCfg::add_file(const std::string& name, u64 value) { add_file(name, bytes_of(value)); }

void FwCfg::add_file(const std::string& name, u32 size, Make make) {
  const u16 key = next_file_;
  add_file(name, std::vector<u8>(size));
  items_[key].make = std::move(make);
}

void FwCfg::update_directory() {
  ByteWriter out;
  put_be(out, static_cast<u32>(files_.size()));
  for (const auto& [name, file] : files_) {
    put_be(out, file.size);
    put_be(out, file.key);
    out.put(u16{0});
    std::array<u8, kFileNameSize> text{};
    std::ranges::copy(name, text.begin());
    out.put_bytes(text);
  }
  add(FW_CFG_FILE_DIR, std::move(out.bytes()));
}

void FwCfg::select(u16 key) {
  s_.key = key;
  s_.offset = 0;
  current_ = false;
}

std::span<const u8> FwCfg::selected() {
  const auto found = items_.find(s_.key);
  if (found == items_.end()) return {};
  auto& item = found->second;
  if (item.make && !current_) {
    auto made = item.make();
    assert(made.size() == item.bytes.size());
    item.bytes = std::move(made);
  }
  current_ = true;
  return item.bytes;
}

u8 FwCfg::read_byte() {
  const auto bytes = selected();
  return s_.offset < bytes.size() ? bytes[s_.offset++] : u8{0};
}

u32 FwCfg::port_read(u16 offset, u8 size) {
  const std::lock_guard lock(mutex_);
  if (offset == kData && size == 1) return read_byte();
  if (offset < kDmaHigh || size > 4) return static_cast<u32>(mask_for_size(size));
  u32 value = 0;
  for (u8 i = 0; i < size; ++i) {
    const unsigned at = offset - kDmaHigh + i;
    value |= static_cast<u32>(at < 8 ? FW_CFG_DMA_SIGNATURE >> (8 * (7 - at)) & 0xFF : 0xFF) << (8 * i);
  }
  return value;
}

void FwCfg::port_write(u16 offset, u8 size, u32 value) {
  const std::lock_guard lock(mutex_);
  if (offset == kSelector && size == 2) select(static_cast<u16>(value));
  if (offset == kDmaHigh && size == 4) s_.dma_high = std::byteswap(value);
  if (offset == kDmaLow && size == 4) {
    const u64 address = u64{s_.dma_high} << 32 | std::byteswap(value);
    s_.dma_high = 0;
    run_dma(address);
  }
}

void FwCfg::run_dma(u64 address) {
  std::array<u8, kDmaAccessSize> access{};
  if (!memory_.read(address, access.data(), access.size())) return;  // nowhere to say so
  const u32 control = load_be<u32>(access.data());
  std::array<u8, 4> result{};
  store_be(result.data(), transfer(control, load_be<u32>(&access[4]), load_be<u64>(&access[8])));
  memory_.write(address, result.data(), result.size());
}

/// What becomes of the control field.
u32 FwCfg::transfer(u32 control, u32 length, u64 address) {
  if ((control & FW_CFG_DMA_CTL_SELECT) != 0) select(static_cast<u16>(control >> 16));
  if ((control & FW_CFG_DMA_CTL_READ) != 0) {
    if (length == 0) return 0;
    u8* to = memory_.at(address, length);
    if (to == nullptr) return FW_CFG_DMA_CTL_ERROR;
    const auto bytes = selected();
    const auto rest = bytes.subspan(std::min<std::size_t>(s_.offset, bytes.size()));
    const auto part = rest.first(std::min<std::size_t>(length, rest.size()));
    std::ranges::copy(part, to);
    std::fill(to + part.size(), to + length, u8{0});  // what is past the end
    memory_.note_write(memory_.offset_of(address, length), length);
    s_.offset += static_cast<u32>(part.size());
    return 0;
  }
  if ((control & FW_CFG_DMA_CTL_WRITE) != 0) return FW_CFG_DMA_CTL_ERROR;
  if ((control & FW_CFG_DMA_CTL_SKIP) != 0) s_.offset += std::min(length, ~s_.offset);
  return 0;
}

void FwCfg::reset() {
  const std::lock_guard lock(mutex_);
  s_ = State{};
  current_ = false;
}

vm::StateRecord FwCfg::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("fwcfg", s_);
}

Result<> FwCfg::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  const std::lock_guard lock(mutex_);
  s_ = state;
  current_ = false;
  return {};
}

}  // namespace vireo::dev
