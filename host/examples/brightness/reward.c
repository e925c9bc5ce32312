// Reward: the mean brightness of a picture.

#include <stdlib.h>
#include <string.h>

#include "reward.h"

typedef exports_twinhost_plugin_scoring_error_t error_t;

bool exports_twinhost_plugin_scoring_configure(reward_string_t *config, reward_string_t *environment, uint64_t seed,
                                               reward_string_t *ret, error_t *err) {
  reward_string_dup(ret, "{\"needs\": [\"observation.images.base\"], \"decides_success\": false}");
  return true;
}

bool exports_twinhost_plugin_scoring_reset(reward_list_u32_t *rows, error_t *err) { return true; }

bool exports_twinhost_plugin_scoring_score(exports_twinhost_plugin_scoring_batch_t *transition, uint32_t steps,
                                           exports_twinhost_plugin_scoring_scores_t *ret, error_t *err) {
  const reward_list_u8_t *pixels = &transition->tensors.ptr[0].values.val.uint8;
  size_t rows = transition->rows, size = pixels->len / rows;
  memset(ret, 0, sizeof *ret);
  ret->rewards.len = rows * steps;
  ret->rewards.ptr = calloc(rows * steps + 1, sizeof(float));
  for (size_t row = 0; row < rows; row++) {
    uint32_t sum = 0;
    for (size_t i = row * size; i < (row + 1) * size; i++) sum += pixels->ptr[i];
    for (uint32_t step = 0; step < steps; step++) ret->rewards.ptr[row * steps + step] = (float)sum / (255.0f * (float)size);
  }
  return true;
}
