//! The client: one question from the command line, asked with the methods of the trait.

use std::error::Error;
use std::str::FromStr;

use grapeshot::rpc::{CallError, CallerExt, Client};

use crate::calculator::{CalculatorClient, CalculatorError};

/// Asks one question, and prints the answer.
pub(crate) fn ask(address: &str, question: &str) -> Result<(), Box<dyn Error>> {
    let client = CalculatorClient::new(Client::connect(address)?);
    let answer = answer(&client, question)?;
    Ok(crate::say(&format!("{question} -> {answer}"))?)
}

fn answer(client: &CalculatorClient<Client>, question: &str) -> Result<String, Box<dyn Error>> {
    let words: Vec<&str> = question.split_whitespace().collect();
    match words[..] {
        ["methods"] => {
            let methods = client.caller().methods()?;
            let list: String = methods.iter().map(|method| format!("\n  {method}")).collect();
            Ok(format!("{} of them{list}", methods.len()))
        }
        ["remember", number] => told(client.remember(parse(number)?)),
        ["factors", number] => factors(client, parse(number)?),
        [a, operator, b] => {
            let (a, b) = (parse(a)?, parse(b)?);
            match operator {
                "+" => told(client.add(a, b)),
                "-" => told(client.subtract(a, b)),
                "*" | "x" => told(client.multiply(a, b)),
                "/" => told(client.divide(a, b)),
                _ => Err(format!("{operator} is no operator: + - * and / are").into()),
            }
        }
        _ => Err("a question is such as 7 / 2, remember 5, factors 360, or methods".into()),
    }
}

fn parse<N: FromStr<Err: Error>>(word: &str) -> Result<N, String> {
    word.parse().map_err(|error| format!("{word}: {error}"))
}

/// The calculator's own errors are answers as good as any; those of the call end the program.
fn told(result: Result<i64, CallError>) -> Result<String, Box<dyn Error>> {
    match result {
        Ok(number) => Ok(number.to_string()),
        Err(error) => match error.service::<CalculatorError>() {
            Some(error) => Ok(format!("none: {error}")),
            None => Err(error.into()),
        },
    }
}

/// The factors are printed when they come; the last thing that comes is how many they were.
fn factors(client: &CalculatorClient<Client>, number: u32) -> Result<String, Box<dyn Error>> {
    let call = client.factors(number)?;
    let factors = call.items().collect::<Result<Vec<u32>, _>>()?;
    let count = call.finish()?;
    Ok(format!("{factors:?}, {count} of them"))
}
