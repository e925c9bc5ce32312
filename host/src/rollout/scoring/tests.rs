//! How components, weights, episode ends and failures add up. Two environments, chunks of three steps.

use twinhost_plugin_api::RewardSpec;

use super::*;

/// Answers from a list, one entry per call.
struct Scripted {
    answers: Vec<Result<Batch>>,
    decides_success: bool,
}

impl Reward for Scripted {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![], decides_success: self.decides_success }
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        assert_eq!(transition.get(names::ACTION).unwrap().shape(), [2, 3, 1]);
        // Nobody sees another component's score.
        assert_eq!(transition.slice::<f32>(names::REWARD).unwrap(), OWN);
        self.answers.remove(0)
    }
}

const OWN: [f32; 6] = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0];

/// The second environment ends after its second step.
fn step() -> Batch {
    Batch::new()
        .with(names::REWARD, Tensor::from_vec(OWN.to_vec(), &[2, 3]))
        .with(names::TERMINATED, Tensor::zeros::<bool>(&[2, 3]))
        .with(names::TRUNCATED, Tensor::from_vec(vec![false, false, false, false, true, false], &[2, 3]))
        .with(names::SUCCESS, Tensor::from_vec(vec![false, true], &[2]))
}

fn scores(values: [f32; 6]) -> Batch {
    Batch::new().with(names::REWARD, Tensor::from_vec(values.to_vec(), &[2, 3]))
}

fn reward(name: &str, weight: f32, on_error: OnError, answers: Vec<Result<Batch>>) -> WeightedReward {
    let decides_success = answers.iter().flatten().any(|a| a.find(names::SUCCESS).is_some());
    WeightedReward { name: name.into(), weight, on_error, component: Box::new(Scripted { answers, decides_success }) }
}

fn scored(scoring: &mut Scoring) -> Result<Batch> {
    let mut step = step();
    scoring.score(&mut step, &Tensor::zeros::<f32>(&[2, 3, 1]))?;
    Ok(step)
}

fn rewards(step: &Batch) -> &[f32] {
    step.slice(names::REWARD).unwrap()
}

#[test]
fn weights_apply_and_steps_that_were_not_executed_count_nothing() {
    let one = reward("one", 2.0, OnError::Stop, vec![Ok(scores([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))]);
    let two = reward("two", -1.0, OnError::Stop, vec![Ok(scores([0.5; 6]))]);
    let mut scoring = Scoring::new(0.5, vec![one, two]);
    let step = scored(&mut scoring).unwrap();
    // 0.5 * own + 2 * one - two; the last step of the second environment was not executed.
    assert_eq!(rewards(&step), [2.0, 4.0, 6.0, 8.0, 10.0, 0.0]);
    // Means over the five executed steps: (1+2+3+4+5)/5 and 0.5.
    let metrics = scoring.take_metrics();
    assert_eq!(metrics[0], ("reward/one".to_owned(), 3.0));
    assert_eq!(metrics[1], ("reward/one/failures".to_owned(), 0.0));
    assert_eq!(metrics[2], ("reward/two".to_owned(), 0.5));
}

#[test]
fn the_environments_own_reward_can_be_left_out() {
    let mut scoring = Scoring::new(0.0, vec![reward("one", 1.0, OnError::Stop, vec![Ok(scores([3.0; 6]))])]);
    assert_eq!(rewards(&scored(&mut scoring).unwrap()), [3.0, 3.0, 3.0, 3.0, 3.0, 0.0]);
}

#[test]
fn an_end_in_the_middle_of_a_chunk_ends_it_there() {
    let done = Tensor::from_vec(vec![false, true, false, true, false, true], &[2, 3]);
    let answer = scores([1.0; 6]).with(names::DONE, done);
    let mut scoring = Scoring::new(1.0, vec![reward("one", 1.0, OnError::Stop, vec![Ok(answer)])]);
    let step = scored(&mut scoring).unwrap();
    assert_eq!(rewards(&step), [2.0, 2.0, 0.0, 2.0, 0.0, 0.0]);
    assert_eq!(step.slice::<bool>(names::TERMINATED).unwrap(), [false, true, false, true, false, false]);
    // The second environment's time limit came after its end, so nothing bootstraps from it.
    assert_eq!(step.slice::<bool>(names::TRUNCATED).unwrap(), [false; 6]);
}

#[test]
fn success_is_what_all_who_judge_it_see() {
    let judge = |success: [bool; 2]| scores([0.0; 6]).with(names::SUCCESS, Tensor::from_vec(success.to_vec(), &[2]));
    let check = |answers: Vec<Result<Batch>>, expect: [bool; 2]| {
        let components = answers.into_iter().map(|answer| reward("judge", 1.0, OnError::Zero, vec![answer])).collect();
        let step = scored(&mut Scoring::new(1.0, components)).unwrap();
        assert_eq!(step.slice::<bool>(names::SUCCESS).unwrap(), expect);
    };
    check(vec![Ok(scores([0.0; 6]))], [false, true]);
    check(vec![Ok(judge([true, false]))], [true, false]);
    check(vec![Ok(judge([true, true])), Ok(judge([false, true]))], [false, true]);
}

#[test]
fn a_failure_is_treated_as_the_recipe_says() {
    let answers = || vec![Ok(scores([1.0; 6])), Err(Error::internal("broken")), Ok(scores([1.0; 6]))];
    let run = |on_error: OnError| {
        let mut scoring = Scoring::new(0.0, vec![reward("one", 1.0, on_error, answers())]);
        let totals: Vec<Result<f32>> = (0..3).map(|_| scored(&mut scoring).map(|s| rewards(&s).iter().sum())).collect();
        let failures = scoring.take_metrics().into_iter().find(|(name, _)| name == "reward/one/failures").map(|(_, n)| n);
        (totals.into_iter().map(Result::ok).collect::<Vec<_>>(), failures)
    };
    assert_eq!(run(OnError::Zero), (vec![Some(5.0), Some(0.0), Some(5.0)], Some(1.0)));
    assert_eq!(run(OnError::Skip), (vec![Some(5.0), Some(0.0), Some(0.0)], Some(1.0)));
    let (totals, _) = run(OnError::Stop);
    assert_eq!(totals[..2], [Some(5.0), None]);
}

#[test]
fn a_judge_that_fails_sees_no_success() {
    let judge = scores([0.0; 6]).with(names::SUCCESS, Tensor::from_vec(vec![true, true], &[2]));
    let mut scoring = Scoring::new(1.0, vec![reward("judge", 1.0, OnError::Zero, vec![Err(Error::internal("broken")), Ok(judge)])]);
    assert_eq!(scored(&mut scoring).unwrap().slice::<bool>(names::SUCCESS).unwrap(), [false, false]);
    assert_eq!(scored(&mut scoring).unwrap().slice::<bool>(names::SUCCESS).unwrap(), [true, true]);
}

#[test]
fn wrong_lengths_and_nan_are_failures() {
    let check = |answer: Batch, words: &str| {
        let e = scored(&mut Scoring::new(1.0, vec![reward("one", 1.0, OnError::Stop, vec![Ok(answer)])])).unwrap_err().to_string();
        assert!(e.contains(words), "{e}");
    };
    check(scores([1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0]), "score of NaN");
    check(Batch::new().with(names::REWARD, Tensor::zeros::<f32>(&[2, 2])), "4 entries for 6");
    check(Batch::new(), "no feature `next.reward`");
}

#[test]
fn own_metrics_are_averaged_over_calls() {
    let answer = |distance: f32| Ok(scores([0.0; 6]).with("metrics.distance", Tensor::from_vec(vec![distance], &[1])));
    let mut scoring = Scoring::new(1.0, vec![reward("one", 1.0, OnError::Stop, vec![answer(1.0), answer(2.0)])]);
    scored(&mut scoring).unwrap();
    scored(&mut scoring).unwrap();
    assert!(scoring.take_metrics().contains(&("reward/one/distance".to_owned(), 1.5)));
}
