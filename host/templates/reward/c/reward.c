// Reward: 1 - tanh(scale * distance), the nearer the gripper is to a goal, the more.
//
// What the host calls, when, and with which shapes is described in plugin-api/wit/v1/reward.wit; `reward.h` is made from it by the build.
// There are no files, no clock and no printing here: a score is a function of what is passed in.

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "reward.h"

typedef exports_twinhost_plugin_scoring_error_t error_t;

// Position the gripper should reach, m.
static float goal[3];
// How quickly the reward falls with the distance, 1/m.
static float scale;

// Reads the `count` numbers that follow `"name":` in a flat JSON object; leaves `values` as they are if there is no such name.
static void numbers(const char *json, const char *name, float *values, int count) {
  const char *at = strstr(json, name);
  if (at == NULL) return;
  for (at += strlen(name); count > 0 && *at != '\0' && *at != '}'; at++) {
    char *end;
    float value = strtof(at, &end);
    if (end == at) continue;
    *values++ = value;
    count--;
    at = end - 1;
  }
}

static bool refuse(error_t *err, uint8_t kind, const char *field, const char *message) {
  err->kind = kind;
  err->field.is_some = field != NULL;
  if (field != NULL) reward_string_dup(&err->field.val, field);
  reward_string_dup(&err->message, message);
  return false;
}

bool exports_twinhost_plugin_scoring_configure(reward_string_t *config, reward_string_t *environment, uint64_t seed,
                                               reward_string_t *ret, error_t *err) {
  goal[0] = 0.5f, goal[1] = 0.0f, goal[2] = 0.1f, scale = 5.0f;
  char *json = strndup((const char *)config->ptr, config->len);
  numbers(json, "\"goal\"", goal, 3);
  numbers(json, "\"scale\"", &scale, 1);
  free(json);
  if (!(scale > 0.0f && isfinite(scale)))
    return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_CONFIG, "scale", "must be a finite number > 0");
  reward_string_dup(ret, "{\"needs\": [\"observation.state\"], \"decides_success\": false}");
  return true;
}

bool exports_twinhost_plugin_scoring_reset(reward_list_u32_t *rows, error_t *err) { return true; }

bool exports_twinhost_plugin_scoring_score(exports_twinhost_plugin_scoring_batch_t *transition, uint32_t steps,
                                           exports_twinhost_plugin_scoring_scores_t *ret, error_t *err) {
  const twinhost_plugin_types_tensor_t *state = &transition->tensors.ptr[0];
  if (state->values.tag != TWINHOST_PLUGIN_TYPES_VALUES_FLOAT32 || state->shape.len != 2 || state->shape.ptr[1] < 3)
    return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_INPUT, NULL, "`observation.state` must be f32 [B, S] with S >= 3");
  size_t rows = transition->rows, width = state->shape.ptr[1];
  memset(ret, 0, sizeof *ret);
  ret->rewards.len = rows * steps;
  ret->rewards.ptr = calloc(rows * steps + 1, sizeof(float));
  for (size_t row = 0; row < rows; row++) {
    const float *position = state->values.val.float32.ptr + row * width;
    float sum = 0.0f;
    for (int i = 0; i < 3; i++) sum += (position[i] - goal[i]) * (position[i] - goal[i]);
    float reward = 1.0f - tanhf(scale * sqrtf(sum));
    if (!isfinite(reward)) {
      free(ret->rewards.ptr);
      return refuse(err, TWINHOST_PLUGIN_TYPES_ERROR_KIND_NUMERICAL, NULL, "a position is not finite");
    }
    for (uint32_t step = 0; step < steps; step++) ret->rewards.ptr[row * steps + step] = reward;
  }
  return true;
}
