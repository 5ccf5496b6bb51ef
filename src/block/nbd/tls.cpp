#include "block/nbd/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>
#include <filesystem>

#include "block/nbd/uri.h"

namespace vireo::block::nbd {
namespace {

constexpr const char* kAuthorities = "/etc/ssl/certs/ca-certificates.crt";  // one file: no more is opened later

SSL_CTX* context_of(void* context) { return static_cast<SSL_CTX*>(context); }
SSL* session_of(void* session) { return static_cast<SSL*>(session); }
BIO* bio_of(void* bio) { return static_cast<BIO*>(bio); }

int whole(std::size_t size) { return static_cast<int>(std::min<std::size_t>(size, INT_MAX)); }

/// What OpenSSL has to say, which is forgotten with it.
std::string reason() {
  const unsigned long error = ERR_peek_last_error();
  const char* text = error == 0 ? nullptr : ERR_reason_error_string(error);
  std::string said = text == nullptr ? "no reason is given" : text;
  ERR_clear_error();
  return said;
}

Result<> must_be_there(const std::string& path) {
  std::error_code error;
  if (std::filesystem::exists(path, error)) return {};
  return fail(error ? ErrorKind::Denied : ErrorKind::NotFound, "{} cannot be read, which TLS needs", path);
}

Result<> load_certificates(SSL_CTX* context, const Uri& uri) {
  const std::string authorities = uri.certificates.empty() ? kAuthorities : uri.certificates + "/ca-cert.pem";
  if (uri.verify) {
    TRY(must_be_there(authorities));
    if (SSL_CTX_load_verify_file(context, authorities.c_str()) != 1) {
      return fail(ErrorKind::Usage, "{} has no certificates: {}", authorities, reason());
    }
  }
  if (uri.certificates.empty()) return {};
  const auto certificate = uri.certificates + "/client-cert.pem", key = uri.certificates + "/client-key.pem";
  std::error_code ignored;
  if (!std::filesystem::exists(certificate, ignored)) return {};
  TRY(must_be_there(key));
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail(ErrorKind::Usage, "{} and {} are no certificate and its key: {}", certificate, key, reason());
  }
  return {};
}

}  // namespace

void TlsSettings::Free::operator()(void* context) const { SSL_CTX_free(context_of(context)); }
void TlsFilter::Free::operator()(void* session) const { SSL_free(session_of(session)); }

Result<std::shared_ptr<const TlsSettings>> TlsSettings::create(const Uri& uri) {
  auto made = std::make_shared<TlsSettings>();
  made->context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = context_of(made->context_.get());
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
    return fail(ErrorKind::Failed, "TLS cannot be used: {}", reason());
  }
  SSL_CTX_set_verify(context, uri.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (uri.verify && uri.peer_name.empty()) {
    return fail(ErrorKind::Usage, "{}: say with tls-hostname=NAME whom the server's certificate must be for", uri.text);
  }
  TRY(load_certificates(context, uri));
  made->peer_name_ = uri.peer_name;
  made->verify_ = uri.verify;
  return made;
}

Result<std::unique_ptr<TlsFilter>> TlsFilter::create(std::shared_ptr<const TlsSettings> settings) {
  std::unique_ptr<TlsFilter> made(new TlsFilter(std::move(settings)));
  SSL* const session = SSL_new(context_of(made->settings_->context_.get()));
  made->session_.reset(session);
  BIO *const in = BIO_new(BIO_s_mem()), *const out = BIO_new(BIO_s_mem());
  if (session == nullptr || in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return fail(ErrorKind::Failed, "TLS cannot be used: {}", reason());
  }
  SSL_set_bio(session, in, out);
  made->in_ = in;
  made->out_ = out;
  SSL_set_connect_state(session);
  const auto& name = made->settings_->peer_name_;
  if (name.empty()) return made;
  auto* const parameters = SSL_get0_param(session);
  const bool number = X509_VERIFY_PARAM_set1_ip_asc(parameters, name.c_str()) == 1;
  ERR_clear_error();
  // Numbers are no names to ask a server for (RFC 6066, section 3).
  // What SSL_set_tlsext_host_name() is.
  const auto set_name = [&] {
    std::string copy = name;
    return SSL_ctrl(session, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, copy.data()) == 1 &&
           SSL_set1_host(session, name.c_str()) == 1;
  };
  if (!number && !set_name()) {
    return fail(ErrorKind::Usage, "\"{}\" is no name a certificate can be for", name);
  }
  return made;
}

Result<bool> TlsFilter::handshake() {
  ERR_clear_error();
  SSL* const session = session_of(session_.get());
  const int done = SSL_do_handshake(session);
  if (done == 1) return true;
  if (SSL_get_error(session, done) == SSL_ERROR_WANT_READ) return false;
  const long verified = SSL_get_verify_result(session);
  if (settings_->verify_ && verified != X509_V_OK) {
    return fail(ErrorKind::Denied, "the server's certificate is not accepted: {}",
                X509_verify_cert_error_string(verified));
  }
  return fail(ErrorKind::Denied, "the TLS handshake failed: {}", reason());
}

void TlsFilter::from_wire(std::span<const u8> bytes) { BIO_write(bio_of(in_), bytes.data(), whole(bytes.size())); }

std::size_t TlsFilter::to_wire(std::span<u8> bytes) {
  const int count = BIO_read(bio_of(out_), bytes.data(), whole(bytes.size()));
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

TlsFilter::Passed TlsFilter::read(std::span<u8> bytes) {
  ERR_clear_error();
  SSL* const session = session_of(session_.get());
  const int count = SSL_read(session, bytes.data(), whole(bytes.size()));
  if (count > 0) return {static_cast<std::size_t>(count), false};
  return {0, SSL_get_error(session, count) != SSL_ERROR_WANT_READ};
}

TlsFilter::Passed TlsFilter::write(std::span<const u8> bytes) {
  ERR_clear_error();
  SSL* const session = session_of(session_.get());
  const int count = SSL_write(session, bytes.data(), whole(bytes.size()));
  if (count > 0) return {static_cast<std::size_t>(count), false};
  return {0, SSL_get_error(session, count) != SSL_ERROR_WANT_READ};
}

}  // namespace vireo::block::nbd
