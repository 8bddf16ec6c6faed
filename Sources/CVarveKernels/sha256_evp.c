// SPDX-License-Identifier: Apache-2.0
// SPDX-FileCopyrightText: Varve contributors
//
// Many pieces one after the other. Where this CPU has no SHA instructions that we know, OpenSSL's assembly is faster
// than our plain C; it is asked for once a call, and if it can not (no memory, an odd provider), the C does the work.
#include "sha256.h"

#include <openssl/evp.h>
#include <string.h>

static void piece_in_c(varve_sha256_compress *compress, const uint8_t *data, size_t length, uint8_t *out) {
    uint32_t state[8];
    uint8_t last[2 * varve_sha256_block];
    const size_t whole = length - length % varve_sha256_block;
    const size_t blocks = varve_sha256_pad(data + whole, length, last);
    memcpy(state, varve_sha256_initial, sizeof state);
    compress(state, data, whole / varve_sha256_block);
    compress(state, last, blocks);
    varve_sha256_store(state, out);
}

static int piece_by_openssl(
    EVP_MD_CTX *context, const EVP_MD *function, const uint8_t *data, size_t length, uint8_t *out) {
    unsigned int size = 0;
    uint8_t result[EVP_MAX_MD_SIZE];
    if (EVP_DigestInit_ex(context, function, NULL) != 1 || EVP_DigestUpdate(context, data, length) != 1
        || EVP_DigestFinal_ex(context, result, &size) != 1 || size != varve_sha256_size)
        return 0;
    memcpy(out, result, varve_sha256_size);
    return 1;
}

void varve_sha256_pieces_in_turn(
    const uint8_t *base, const uint64_t *offsets, const uint32_t *lengths, size_t count, uint8_t *out, int openssl,
    varve_sha256_compress *compress) {
    EVP_MD_CTX *const context = openssl && count > 0 ? EVP_MD_CTX_new() : NULL;
    EVP_MD *const function = context != NULL ? EVP_MD_fetch(NULL, "SHA256", NULL) : NULL;
    for (size_t index = 0; index < count; index++, out += varve_sha256_size) {
        const uint8_t *const data = base + offsets[index];
        if (function == NULL || !piece_by_openssl(context, function, data, lengths[index], out))
            piece_in_c(compress, data, lengths[index], out);
    }
    EVP_MD_free(function);
    EVP_MD_CTX_free(context);
}
