//! The tour of the REST API in docs/rest.md: whoever types what it says gets what it promises.

use reqwest::Method;

use super::Rest;

/// The words of a shell's line, as far as the tour needs them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().expect("one").push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[tokio::test]
async fn the_commands_of_the_tour_work_one_after_the_other() {
    let rest = Rest::start().await;
    let tour = include_str!("../../../../../docs/rest.md").replace("\\\n", " ");
    let commands: Vec<_> = tour.lines().filter_map(|line| line.strip_prefix("$ curl ")).collect();
    assert!(commands.len() >= 5);
    for command in commands {
        let words = words(command);
        let after = |option: &str| -> Vec<String> {
            let pairs = words.iter().zip(words.iter().skip(1));
            pairs.filter(|(word, _)| *word == option).map(|(_, value)| value.clone()).collect()
        };
        let body = after("--json").into_iter().next().unwrap_or_default();
        let method: Method = after("-X").first().map_or(Method::GET, |method| method.parse().expect("a method"));
        let path = words.iter().find_map(|word| word.strip_prefix("$PARLOR")).expect("an address").to_owned();
        let condition = after("-H").iter().find_map(|header| header.strip_prefix("If-Match: ").map(str::to_owned));
        let condition = condition.as_deref().map(|tag| ("if-match", tag));
        let headers: Vec<_> = [Some(("content-type", "application/json")), condition].into_iter().flatten().collect();
        let answer = rest.call_raw(method, &path, &headers, body).await;
        assert!((200..300).contains(&answer.status), "{command}: {} {}", answer.status, answer.body);
    }
    rest.end().await;
}
